"""Data sets in folders, and their splits."""

from pathlib import Path

import pytest

from shelflens.errors import InvalidArgument, InvalidManifest, ShelflensError
from shelflens.manifests import ColumnMap, SourceRow, open_manifest


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def products10k(root: Path) -> Path:
    touch(root, "train/1.jpg", "train/2.jpg", "test/9.jpg")
    (root / "train.csv").write_text("name,class,group\n1.jpg,0,7\n2.jpg,1,-1\n")
    (root / "test.csv").write_text("name,class,group\n9.jpg,0,7\n")
    return root


def reason(source: Path, **options: str) -> str:
    with pytest.raises(ShelflensError) as caught:
        open_manifest(source, **options)  # type: ignore[arg-type]
    return caught.value.reason


def test_a_split_of_products10k_has_classes_as_skus_and_groups_as_attributes(
    tmp_path: Path,
) -> None:
    manifest = open_manifest(products10k(tmp_path), preset="products10k", split="train")
    assert list(manifest) == [
        SourceRow(1, {"sku": "0", "attributes": {"group": "7"}}, ["train/1.jpg"]),
        SourceRow(2, {"sku": "1", "attributes": {}}, ["train/2.jpg"]),
    ]
    assert manifest.folder == tmp_path
    assert manifest.complete()


def test_a_data_set_is_recognised_by_its_files_and_its_columns(tmp_path: Path) -> None:
    products10k(tmp_path)
    by_files = open_manifest(tmp_path, split="test")
    by_columns = open_manifest(tmp_path / "test.csv")
    for manifest in (by_files, by_columns):
        assert "using preset products10k" in manifest.notes[0]
        assert [row.images for row in manifest] == [["test/9.jpg"]]


def test_other_columns_beside_those_of_products10k_mean_another_file(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("sku,name,class,group\nA,Tea,b,c\n")
    (row,) = open_manifest(path)
    assert row.fields == {"sku": "A", "title": "Tea"}


def test_a_data_set_with_several_parts_asks_which(tmp_path: Path) -> None:
    assert reason(products10k(tmp_path)) == "SPLIT_MISSING"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (".", {"split": "val"}),
        (".", {"split": "train", "preset": "image-folder"}),
        ("train.csv", {"split": "test"}),
        ("plain.csv", {"split": "train"}),
        ("train.csv", {"split": "train", "preset": "magento"}),
    ],
)
def test_a_split_that_is_not_there_is_an_error_that_says_so(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    products10k(tmp_path)
    (tmp_path / "plain.csv").write_text("sku,title\nA,Tea\n")
    assert reason(tmp_path / name, **options) == "SPLIT_UNKNOWN"


def test_a_preset_for_files_wants_a_file_and_one_for_folders_a_folder(tmp_path: Path) -> None:
    products10k(tmp_path)
    with pytest.raises(InvalidManifest, match="name the one in"):
        open_manifest(tmp_path, preset="magento")
    with pytest.raises(InvalidManifest, match="reads a directory"):
        open_manifest(tmp_path / "train.csv", preset="grozi120")


def test_grozi_products_are_the_numbers_of_its_folders(tmp_path: Path) -> None:
    touch(tmp_path, "inVitro/1/web/JPEG/web1.jpg", "inVitro/1/web/masks/mask1.png")
    touch(tmp_path, "inVitro/12/web/JPEG/web1.jpg", "inVitro/12/web/JPEG/web2.jpg")
    touch(tmp_path, "inSitu/1/video/video1.png", "inSitu/1/info.txt", "Index/1.jpg")
    train = list(open_manifest(tmp_path, split="train"))
    assert train == [
        SourceRow(1, {"sku": "1"}, ["inVitro/1/web/JPEG/web1.jpg"]),
        SourceRow(
            2, {"sku": "12"}, ["inVitro/12/web/JPEG/web1.jpg", "inVitro/12/web/JPEG/web2.jpg"]
        ),
    ]
    (test,) = open_manifest(tmp_path, preset="grozi120", split="test")
    assert test == SourceRow(1, {"sku": "1"}, ["inSitu/1/video/video1.png"])


def test_capg_products_are_files_or_folders(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "train/2/a.jpg", "test/1/x.jpg")
    train = open_manifest(tmp_path, preset="capg-gp", split="train")
    assert [(row.fields["sku"], row.images) for row in train] == [
        ("1", ["train/1.jpg"]),
        ("2", ["train/2/a.jpg"]),
    ]


def test_eproduct_listings_have_titles_and_labels(tmp_path: Path) -> None:
    for name in ("train", "index", "query"):
        (tmp_path / f"{name}.csv").write_text("image,title,label\na.jpg,Lamp,L1\n")
    (row,) = open_manifest(tmp_path, split="index")
    assert row == SourceRow(1, {"sku": "a.jpg", "title": "Lamp", "parent": "L1"}, ["index/a.jpg"])


def test_a_split_by_column_reads_its_rows_only(tmp_path: Path) -> None:
    photos = tmp_path / "photos.csv"
    photos.write_text("image,sku,split\nn/a.jpg,A,train\nn/b.jpg,B,val\n")
    plain = list(open_manifest(photos))
    assert [row.fields for row in plain] == [{"sku": "A"}, {"sku": "B"}]
    manifest = open_manifest(photos, preset="grocery-store", split="val")
    assert list(manifest) == [SourceRow(2, {"sku": "B"}, ["n/b.jpg"])]
    assert manifest.closing_notes() == ("1 rows were left out: 'split' is none of val",)


def test_a_folder_of_images_is_one_unless_it_looks_like_more(tmp_path: Path) -> None:
    touch(tmp_path, "A/1.jpg", "B.jpg")
    rows = list(open_manifest(tmp_path))
    assert [(row.fields, row.images) for row in rows] == [
        ({"sku": "A"}, ["A/1.jpg"]),
        ({"sku": "B"}, ["B.jpg"]),
    ]
    assert rows == list(open_manifest(tmp_path, preset="image-folder"))
    said, counted, *_ = open_manifest(tmp_path, preset="none").notes
    assert said.startswith("read as a folder of images: a sub-folder's name is the SKU")
    assert counted == "2 images"


def test_a_folder_of_images_has_no_columns_to_map(tmp_path: Path) -> None:
    touch(tmp_path, "A/1.jpg")
    with pytest.raises(InvalidManifest, match="no columns to map"):
        open_manifest(tmp_path, ColumnMap.parse(["title=x"]))


def test_folders_nested_without_end_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "A/" + "d/" * 300 + "x.jpg")
    with pytest.raises(InvalidManifest, match="nest deeper"):
        open_manifest(tmp_path)


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "outside/x.jpg", "shop/A/1.jpg")
    (tmp_path / "shop" / "B").symlink_to(tmp_path / "outside")
    assert [row.fields["sku"] for row in open_manifest(tmp_path / "shop")] == ["A"]


def test_a_preset_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="magento") as caught:
        open_manifest(products10k(tmp_path), preset="magneto")
    assert caught.value.reason == "PRESET_UNKNOWN"
