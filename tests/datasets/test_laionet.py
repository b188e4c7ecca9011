import pyarrow
import pyarrow.parquet
import pytest

from cliptail_jax.concepts.class_lists import imagenet_wnids
from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.metadata_table import skipped_records
from cliptail_jax.host.errors import UserError
from tests.commands import build as main
from tests.datasets.prepared_files import built
from tests.datasets.raw_data import archive, jpeg, write_shard

TENCH, GOLDFISH = "n01440764", "n01443537"


def pair(number, wnid=TENCH, image=True, **fields):
    return {
        "key": f"{number:09d}",
        "image": jpeg(number) if image else None,
        "url": f"http://example.org/{number}",
        "caption": f"picture {number}",
        "wnid": wnid,
        "similarity": 0.5 + number / 100,
        "NSFW": "UNLIKELY",
    } | fields


def without(row, *names):
    return {name: value for name, value in row.items() if name not in names}


def write_curated(path, rows, **columns):
    names = {"url": "URL", "caption": "TEXT", "wnid": "wnid", "similarity": "similarity", "NSFW": "NSFW"}
    table = [{names[name]: row[name] for name in names} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table).rename_columns(columns), path)


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def test_records_are_the_shards_samples_in_order_with_what_img2dataset_kept(tmp_path, raw):
    write_shard(raw / "00001.tar", [pair(30), pair(10, GOLDFISH, caption="a\nfish é", NSFW=None)])
    write_shard(raw / "00000.tar", [pair(20)])
    source = built("laionet", tmp_path, raw=raw)
    rows = source.metadata.to_pylist()
    assert [row["url"].rsplit("/")[-1] for row in rows] == ["20", "30", "10"]
    assert rows[2] == {
        "label": 1,
        "wnid": GOLDFISH,
        "text": "a\nfish é",
        "url": "http://example.org/10",
        "similarity": pytest.approx(0.6),
        "nsfw": "",
    }
    assert rows[0]["nsfw"] == "UNLIKELY"
    assert source.encoded_images(range(3)) == [jpeg(20), jpeg(30), jpeg(10)]
    assert source.wnids == imagenet_wnids() and source.class_names[1] == "goldfish"


def test_failed_downloads_and_broken_images_are_skipped_and_counted(tmp_path, raw, capsys):
    rows = [pair(1, image=False), pair(2), pair(3, image=False), pair(4)]
    rows[3]["image"] = rows[3]["image"][:-50]
    write_shard(raw / "00000.tar", rows)
    write_shard(raw / "00001.tar", [pair(5)])
    (raw / "00001.parquet").unlink()
    assert main(["laionet", f"--data_dir={tmp_path}", f"--raw={raw}"]) == 0
    assert (
        "2 train records, 0 MB, skipped (whose image cannot be read: 1, failed downloads: 2)" in capsys.readouterr().out
    )
    assert skipped_records(tmp_path / "laionet" / "1.0.0", "train") == {
        "failed downloads": 2,
        "whose image cannot be read": 1,
    }


def test_sample_without_an_image_counts_once_though_both_files_tell_of_it(tmp_path, raw):
    write_shard(raw / "00000.tar", [pair(1, image=False), pair(2)])
    sound = {"1.jpg": jpeg(3), "1.txt": b"x", "1.json": b'{"wnid": "n01440764", "similarity": 1}'}
    failure = {"000000001.json": b'{"status": "failed_to_resize"}', "000000001.txt": b"x"}
    (raw / "00000.tar").write_bytes(archive(sound | failure))
    build("laionet", str(tmp_path), raw=str(raw))
    assert skipped_records(tmp_path / "laionet" / "1.0.0", "train") == {
        "failed downloads": 1,
        "that a shard lacks and its parquet lists": 1,
    }


def test_fields_that_a_samples_json_lacks_come_from_the_parquet_beside_the_shard(tmp_path, raw):
    write_shard(raw / "00000.tar", [pair(1), pair(2, GOLDFISH)], keep_metadata=False)
    rows = built("laionet", tmp_path, raw=raw).metadata.to_pylist()
    assert [(row["wnid"], row["text"], row["url"]) for row in rows] == [
        (TENCH, "picture 1", "http://example.org/1"),
        (GOLDFISH, "picture 2", "http://example.org/2"),
    ]


def test_curated_table_is_joined_by_url_and_text(tmp_path, raw):
    curated = [pair(number, GOLDFISH if number % 2 else TENCH) for number in range(20)]
    same_url = pair(30, GOLDFISH, url="http://example.org/4", similarity=0.9)
    write_curated(tmp_path / "curated.parquet", [*reversed(curated), same_url])
    downloaded = [without(row, "wnid", "NSFW") | {"similarity": 0.3} for row in (curated[5], curated[4], same_url)]
    absent = without(pair(77), "wnid")
    write_shard(raw / "00000.tar", [*downloaded, absent])
    rows = built("laionet", tmp_path, raw=raw, table=tmp_path / "curated.parquet").metadata.to_pylist()
    assert [(row["label"], row["text"], row["similarity"], row["nsfw"]) for row in rows] == [
        (1, "picture 5", pytest.approx(0.55), "UNLIKELY"),
        (0, "picture 4", pytest.approx(0.54), "UNLIKELY"),
        (1, "picture 30", pytest.approx(0.9), "UNLIKELY"),
    ]
    assert list(skipped_records(tmp_path / "laionet" / "1.0.0", "train").values()) == [1]


@pytest.mark.parametrize(
    ("pairs", "change", "message"),
    [
        ([without(pair(7), "wnid")], None, "00000.tar: sample 000000007 has no 'wnid'; --table=PARQUET"),
        ([pair(7, "n00000001")], None, "00000.tar: sample 000000007 has the WordNet id 'n00000001'"),
        ([pair(1)], lambda raw: (raw / "00000.parquet").write_bytes(b"PAR1"), "00000.parquet is damaged"),
        ([pair(7, similarity="near")], None, "sample 000000007 has a 'similarity' that is not a number"),
        ([pair(7, wnid=["n01440764"] * 99)], None, "sample 000000007 has the WordNet id 'n01440764 n014"),
        ([pair(1)], lambda raw: (raw / "00000.tar").unlink(), "has no shards"),
    ],
)
def test_a_shard_that_cannot_be_used_is_an_error_that_names_it(tmp_path, raw, pairs, change, message):
    write_shard(raw / "00000.tar", pairs)
    if change:
        change(raw)
    with pytest.raises(UserError, match=message) as error:
        build("laionet", str(tmp_path), raw=str(raw))
    assert "\n" not in str(error.value)


def test_curated_table_without_a_column_is_an_error_that_names_it(tmp_path, raw):
    write_shard(raw / "00000.tar", [pair(1)])
    write_curated(tmp_path / "curated.parquet", [pair(1)], TEXT="caption")
    with pytest.raises(UserError, match="curated.parquet has no column 'TEXT'; it has URL, caption"):
        built("laionet", tmp_path, raw=raw, table=tmp_path / "curated.parquet")
