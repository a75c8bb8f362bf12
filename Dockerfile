# docker build -t em-patch-curation .           torch as PyPI has it: CPU, and CUDA where the host has it
# docker build -t em-patch-curation --build-arg INDEX=URL .   another build of torch: PyTorch's page names the index of
#                                                            each (CPU only: a tenth of the size; other CUDA releases)
# docker run --rm --gpus all -v /data:/data em-patch-curation python patchify3d.py /data/volumes /data/patches3d
# Clusters: apptainer build em.sif docker-daemon://em-patch-curation:latest && apptainer exec --nv -B /data em.sif python /app/classify_patches.py ...
FROM python:3.11-slim-bookworm
ARG INDEX
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir ${INDEX:+--extra-index-url "$INDEX"} -r requirements.txt
COPY . .
# Results belong to whoever runs it: docker run --user "$(id -u):$(id -g)". Weights and locks need a home that can be written.
ENV TORCH_HOME=/tmp/torch HOME=/tmp PYTHONDONTWRITEBYTECODE=1
CMD ["python", "patchify3d.py", "--help"]
