"""utils/ngff/label_images.py: what declares itself a segmentation."""

import pytest

from utils.ngff.label_images import allowing_labels, are_labels_allowed, labels_error, refuse_labels

LABELS = [
    ("a.zarr/Labels/nuclei", {}, "it lies in a folder 'labels'"),
    ("a.zarr", {"image-label": {}}, "'image-label' in its metadata"),
    ("a.n5", {"painteraData": {"type": "label"}}, "painteraData type 'label'"),
    ("a.n5", {"isLabelMultiset": True}, "declared in its metadata"),
    ("a", {"type": "segmentation"}, "declared in its metadata"),
]


@pytest.mark.parametrize(("path", "attributes", "why"), LABELS)
def test_segmentations_are_refused_with_the_reason(path, attributes, why):
    with pytest.raises(ValueError, match=r"^holds labels \(a segmentation: ") as refusal:
        refuse_labels(path, attributes)
    assert str(refusal.value) == str(labels_error(why))


@pytest.mark.parametrize("path", ["labels.zarr", "my-labels/a", ""])
@pytest.mark.parametrize(
    "attributes", [{}, {"painteraData": {"type": "raw"}}, {"painteraData": "label"}, {"type": "image"}]
)
def test_images_pass(path, attributes):
    refuse_labels(path, attributes)


def test_masks_are_segmentations_that_are_asked_for():
    with allowing_labels():
        assert are_labels_allowed()
        for path, attributes, _ in LABELS:
            refuse_labels(path, attributes)
    assert not are_labels_allowed()
