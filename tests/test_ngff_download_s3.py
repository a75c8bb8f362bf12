"""NGFF over S3: moto's server holds the bucket, boto3 fills it, nobody signs in to read it."""

import http.server
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ngff_download
from ngff_images import check, pyramid, write_bdv, write_ome_zarr, write_precomputed
from utils.names import parse_roi
from utils.ngff.access import Access
from utils.ngff.multiscale import open_volume_level
from utils.volumes import open_volume


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """Address of an S3 server whose public bucket ``em-images`` holds one image in each format."""
    from moto.server import ThreadedMotoServer

    root = tmp_path_factory.mktemp("bucket")
    write_ome_zarr(root / "a.zarr", pyramid(), compressors=None)
    write_precomputed(root / "a.pc", pyramid())
    write_bdv(root, pyramid())
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    fill(url, "em-images", root)
    yield url
    server.stop()


def fill(url: str, bucket: str, folder: Path) -> None:
    """Upload a folder to a new public bucket."""
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=url, **keys)
    client.create_bucket(Bucket=bucket, ACL="public-read")
    for path in (p for p in folder.rglob("*") if p.is_file()):
        client.put_object(
            Bucket=bucket, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes(), ACL="public-read"
        )
    client.close()


@pytest.mark.parametrize("path", ["a.zarr", "a.pc", "a.n5", "a.xml"])
def test_every_format(endpoint, path):
    check(f"s3://em-images/{path}", pyramid(), access=Access(timeout=10, endpoint=endpoint, region="us-east-1"))


def test_an_absent_image_is_a_sentence(endpoint):
    with pytest.raises((OSError, ValueError), match="no image metadata here"):
        open_volume_level("s3://em-images/absent.zarr", access=Access(timeout=10, endpoint=endpoint))


def test_cubes_are_downloaded(endpoint, tmp_path, capsys):
    command = ["s3://em-images/a.zarr", str(tmp_path), "-gb", "0.001", "--crop-size", "16", "--min-frac", "0"]
    assert ngff_download.main([*command, "--endpoint", endpoint, "--region", "us-east-1"]) == 0, capsys.readouterr().err
    cubes = sorted(tmp_path.glob("a_s0-ROI-*.nrrd"))
    assert cubes
    with open_volume(cubes[0]) as cube:
        assert cube.voxel_size is not None
        assert cube.dtype.name == "uint8"
        where = tuple(slice(*ends) for ends in parse_roi(cubes[0].stem)[1])
        assert np.array_equal(cube[:], pyramid()[0][where])


def test_a_bucket_lists_its_images(endpoint):
    access = Access(timeout=10, endpoint=endpoint)
    with pytest.raises(ValueError, match=r"images lie here \(a\.n5, a\.pc, a\.zarr\); choose"):
        open_volume_level("s3://em-images", access=access)
    open_volume_level("s3://em-images", access=replace(access, image="a.pc"))


@pytest.fixture
def asked(monkeypatch):
    """Headers of every request that reaches the server."""
    seen: list[dict[str, str]] = []
    answer = http.server.BaseHTTPRequestHandler.parse_request

    def note(handler):
        parsed = answer(handler)
        seen.append({name.lower(): value for name, value in handler.headers.items()})
        return parsed

    monkeypatch.setattr(http.server.BaseHTTPRequestHandler, "parse_request", note)
    return seen


@pytest.mark.parametrize(
    ("options", "signed", "pays"),
    [
        ([], False, False),
        (["--anonymous"], False, False),
        (["--credentials"], True, False),
        (["--requester-pays"], True, True),
    ],
)
def test_keys_go_over_the_wire_only_when_asked_for(endpoint, tmp_path, monkeypatch, asked, options, signed, pays):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    argv = ["s3://em-images/a.zarr", str(tmp_path), "-cs", "16", "-gb", "0.00001", "--endpoint", endpoint, *options]
    assert ngff_download.main(argv) == 0
    assert asked
    assert {"AKIDEXAMPLE" in headers.get("authorization", "") for headers in asked} == {signed}
    # tensorstore 0.1 calls it x-amz-requester-payer, AWS documents x-amz-request-payer.
    assert {any("payer" in name for name in headers) for headers in asked} == {pays}
    assert "s3cret" not in "".join(path.read_text() for path in tmp_path.glob("*.json"))
