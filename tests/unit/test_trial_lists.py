"""Lists of trials: reading, refusing, drawing, writing."""

import hashlib
import random
from collections import Counter

import pytest

from petl_modules.utils import DataError
from petl_modules.verification import (
    KNOWN,
    Trials,
    draw_trials,
    find_trials,
    read_trials,
    write_trials,
)

CLIPS = {
    f"{speaker}/{video}/{n:05}": {"speaker": speaker, "recording": video}
    for speaker in ("id1", "id2", "id3")
    for video in ("one", "two")
    for n in (1, 2)
}
GOOD = "1 id1/one/00001.wav id1/two/00001.wav\n0 id1/one/00001 id2/one/00001\n"


@pytest.fixture
def write(tmp_path):
    """Write a list and return its file."""

    def write(text):
        content = text if isinstance(text, bytes) else text.encode()
        file = tmp_path / "trials.txt"
        file.write_bytes(content)
        return file

    return write


def refused(file, clips=CLIPS, **options):
    with pytest.raises(DataError) as error:
        read_trials(file, clips.get, **options)
    return str(error.value)


def rows_of(trials):
    return [*zip(trials.same.tolist(), trials.first, trials.second)]


EXPECTED = [
    (True, "id1/one/00001", "id1/two/00001"),
    (False, "id1/one/00001", "id2/one/00001"),
]
SPELLINGS = {
    "plain": GOOD,
    "Windows": GOOD.replace("\n", "\r\n").replace("/", "\\"),
    "tabs": GOOD.replace(" ", "\t"),
    "blanks": f"\n  {GOOD.replace(' ', '   ')}\n\n",
    "no line end": GOOD.rstrip(),
    "other suffix": GOOD.replace(".wav", ".flac"),
    "here": GOOD.replace(" id", " ./id"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "UTF-16": GOOD.encode("utf-16"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_a_list(spelling, write):
    assert (
        rows_of(read_trials(write(SPELLINGS[spelling]), CLIPS.get)) == EXPECTED
    )


def test_md5_is_that_of_the_file(write):
    trials = read_trials(write(GOOD), CLIPS.get)
    assert trials.md5 == hashlib.md5(GOOD.encode()).hexdigest()
    assert trials.name is None and len(trials) == 2


def test_published_lists_are_known_by_their_md5():
    for md5, name in KNOWN.items():
        assert Trials([], [], None, md5).name == name
    assert sorted(KNOWN.values()) == [
        "VoxCeleb1-O, cleaned",
        "VoxCeleb1-O, original",
    ]


def test_dots_and_blanks_in_names(write):
    clips = {
        "a.b/c.d": {"speaker": "a"},
        "a.b/e f": {"speaker": "a"},
        "Z é/1": {"speaker": "z"},
    }
    file = write("1\ta.b/c.d\ta.b/e f.wav\n0\ta.b/c.d.wav\tZ é/1.wav\n")
    trials = read_trials(file, clips.get)
    assert trials.second == ["a.b/e f", "Z é/1"]
    write_trials(file, trials)
    assert rows_of(read_trials(file, clips.get)) == rows_of(trials)


def test_list_without_labels_where_it_is_asked_for(write):
    file = write("id1/one/00001 id1/two/00001.wav\n")
    trials = read_trials(file, CLIPS.get, unlabelled=True)
    assert trials.same is None and trials.second == ["id1/two/00001"]
    assert "trials.txt:1: 2 fields, not 3" in refused(file)
    labelled = read_trials(write(GOOD), CLIPS.get, unlabelled=True)
    assert labelled.same.tolist() == [True, False]
    write_trials(file, trials)
    assert file.read_text() == "id1/one/00001 id1/two/00001\n"


def test_lists_are_found_at_the_root_and_in_meta(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "veri_test2.txt").touch()
    (tmp_path / "veri_test.txt").touch()
    for name, place in (("veri_test2.txt", "meta"), ("veri_test.txt", ".")):
        file = tmp_path / place / name
        assert find_trials(tmp_path, name) == file
        assert find_trials("nowhere", file) == file
    assert find_trials(tmp_path, None) is find_trials(tmp_path, "null") is None
    with pytest.raises(FileNotFoundError) as error:
        find_trials(tmp_path, "hard.txt")
    assert f"no list hard.txt in {tmp_path} or {tmp_path}/meta; " in (
        str(error.value)
    )
    assert "lists there: veri_test.txt, veri_test2.txt. Put" in str(error.value)


BAD = {
    "empty": ("", "trials.txt: it holds no trials. A line is: label path path"),
    "blank": ("\n \r\n", "it holds no trials"),
    "label": (GOOD + "2 a b", ":3: label '2' is neither 1 nor 0"),
    "word": (GOOD.replace("1 ", "target ", 1), ":1: label 'target' is neither"),
    "label last": (
        "id1/one/00001 id1/two/00001 1\n",
        ":1: label 'id1/one/00001' is neither 1 nor 0",
    ),
    "fields": (f"{GOOD}\n1 a b c\n", ":4: 4 fields, not 3"),
    "mixed": (f"{GOOD}id1/one/00001 id1/two/00002", ":3: 2 fields, not 3"),
    "CSV": ("1,id1/one/00001,id1/two/00001\n", ":1: 1 fields, not 3"),
    "not text": (GOOD.encode() + b"1 \xff", ":3: byte 0xff is not UTF-8"),
    "zero bytes": (GOOD + "1 \0 a", ":3: holds zero bytes"),
    "one unknown": (
        10 * GOOD + "0 id2/one/00002 id3/two/00009.wav",
        ":21: 'id3/two/00009.wav' is no clip of the data\nRestore these files",
    ),
    "all unknown": (
        "1 vox2/a/1.wav vox2/b/1.wav\n0 vox2/a/1.wav vox2/c/1.wav\n",
        "3 of 3 names, such as 'vox2/a/1.wav', are no clips of the data: it "
        "seems to be a list for another corpus. Give the list of these data",
    ),
    "itself, spelt otherwise": (
        GOOD + "1 id1/one/00001 ./id1//one/./00001.wav",
        ":3: 'id1/one/00001' is compared with itself",
    ),
    "itself": (
        GOOD + "1 id1/one/00001 id1/one/00001.wav",
        ":3: 'id1/one/00001' is compared with itself",
    ),
    "wrong target": (
        GOOD + "1 id1/one/00002 id2/one/00002",
        ":3: label 1, but 'id1/one/00002' is of speaker id1 and "
        "'id2/one/00002' of id2",
    ),
    "wrong non-target": (
        GOOD + "0 id3/one/00001 id3/one/00002",
        ":3: label 0, but 'id3/one/00001' is of speaker id3",
    ),
    "no target": (
        GOOD.split("\n")[1],
        "all 1 trials are non-target trials. Error rates need both kinds: add "
        "target trials",
    ),
    "no non-target": (
        GOOD.split("\n")[0],
        "all 1 trials are target trials. Error rates need both kinds: add "
        "non-target trials",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_lists(case, write):
    text, expected = BAD[case]
    file = write(text)
    message = refused(file)
    assert expected in message and str(file) in message


@pytest.mark.parametrize("swapped", [False, True])
def test_pair_with_both_labels(swapped, write):
    """Speakers that are not known cannot tell which label is right."""
    pair = ["id1/one/00001", "id1/two/00001"]
    text = f"{GOOD}0 {' '.join(pair[:: -1 if swapped else 1])}\n"
    message = refused(write(text), dict.fromkeys(CLIPS, {}))
    assert ":3: the pair has the other label in line 1" in message
    assert "Problems in the list of trials (1)" in message


def test_a_file_under_two_names_is_compared_with_itself(write):
    clips = {"a.wav": {"wav": "/a.wav"}, "b/../a.wav": {"wav": "/a.wav"}}
    message = refused(write("a.wav b/../a.wav\n"), clips, unlabelled=True)
    assert ":1: 'a.wav' is compared with itself, as 'b/../a.wav'" in message


def test_pair_that_is_repeated_is_kept(write):
    """The published list has 337 pairs in both orders."""
    text = GOOD + "1 id1/two/00001 id1/one/00001\n" + GOOD
    assert len(read_trials(write(text), CLIPS.get)) == 5


def test_training_speakers_are_refused(write):
    text = GOOD + 3 * "0 id2/one/00001 id3/one/00001\n"
    message = refused(write(text), training_speakers={"id3", "id2", "id9"})
    assert (
        "4 of 5 trials are of 2 speakers that the model is trained" in message
    )
    assert "such as id2" in message and "lists E and H" in message
    assert len(read_trials(write(text), CLIPS.get, {"id9"})) == 5


def naive(rows):
    """The lines that a reader must name, by comparing all with all."""
    bad = set()
    for line, (label, one, other) in enumerate(rows, start=1):
        same = CLIPS[one]["speaker"] == CLIPS[other]["speaker"]
        if one == other or (label == "1") != same:
            bad.add(line)
        for before in rows[: line - 1]:
            if {*before[1:]} == {one, other} and before[0] != label:
                bad.add(line)
    return bad


@pytest.mark.parametrize("seed", range(30))
def test_reader_names_the_lines_of_a_naive_one(seed, write):
    rng, names = random.Random(seed), [*CLIPS]
    rows = []
    for _ in range(rng.randrange(2, 30)):
        one, other = rng.choice(names), rng.choice(names)
        label = str(int(one.split("/")[0] == other.split("/")[0]))
        if rng.random() < 0.1:
            label = "10"[int(label)]
        rows.append((label, one, other))
    rows += [("1", names[0], names[1]), ("0", names[0], names[-1])]
    file = write("".join(f"{' '.join(row)}\n" for row in rows))
    expected = naive(rows)
    if not expected:
        assert rows_of(read_trials(file, CLIPS.get)) == [
            (label == "1", one, other) for label, one, other in rows
        ]
        return
    found = refused(file).replace(f"{file}:", "\n@").split("\n@")[1:]
    assert {int(text.split(":")[0]) for text in found} == expected


# Drawn trials


def corpus(**sizes):
    """Clips of speakers: numbers of clips of each of their recordings."""
    return {
        f"{speaker}/{video}/{n}": {
            "speaker": speaker,
            "recording": f"{speaker}-{video}",
        }
        for speaker, videos in sizes.items()
        for video, clips in enumerate(videos)
        for n in range(clips)
    }


MANY = corpus(a=[3, 1, 2], b=[2, 2], c=[1, 1, 1, 1], d=[5, 4])


def test_each_clip_has_a_target_and_a_non_target_trial():
    trials = draw_trials(MANY, 1)
    assert trials.first == [clip for clip in sorted(MANY) for _ in range(2)]
    assert trials.same.tolist() == [True, False] * len(MANY)
    for same, one, other in rows_of(trials):
        one, other = MANY[one], MANY[other]
        assert same == (one["speaker"] == other["speaker"])
        assert one["recording"] != other["recording"]


def test_draw_depends_on_seed_and_clips_alone():
    names = [*MANY]
    random.Random(3).shuffle(names)
    shuffled = {name: {**MANY[name], "duration": 1.0} for name in names}
    assert rows_of(draw_trials(shuffled, 1)) == rows_of(draw_trials(MANY, 1))
    assert draw_trials(MANY, 2).second != draw_trials(MANY, 1).second


def test_draw_is_always_the_same():
    """Another version must not select epochs by other trials."""
    assert draw_trials(MANY, 7).md5 == "8f25efd31bff710a0fe7d9b2c4b0408e"


def test_all_others_are_drawn_equally_often():
    clip, found = "a/0/0", {True: Counter(), False: Counter()}
    for seed in range(800):
        trials = draw_trials(MANY, seed)
        for same, second in zip(trials.same[:2].tolist(), trials.second[:2]):
            found[same][second] += 1
    for same, counts in found.items():
        expected = {
            other
            for other, record in MANY.items()
            if (record["speaker"] == "a") == same
            and record["recording"] != MANY[clip]["recording"]
        }
        assert counts.keys() == expected
        mean = 800 / len(expected)
        assert all(abs(n - mean) < 5 * mean**0.5 for n in counts.values())


def test_trials_of_one_recording_are_told(caplog):
    records = corpus(a=[3], b=[1, 1], c=[1])
    trials = draw_trials(records, 1)
    targets = [row[1:] for row in rows_of(trials) if row[0]]
    assert all(one != other for one, other in targets)
    assert [one[0] for one, _ in targets] == ["a", "a", "a", "b", "b"]
    assert "3 of 5 target trials, such as that of a/0/0" in caplog.text
    assert caplog.text.count("WARNING") == 1


def test_clips_without_a_recording_are_their_own(caplog):
    records = {f"{s}/{i}": {"speaker": s} for s in "ab" for i in range(2)}
    assert len(draw_trials(records, 1)) == 8 and not caplog.text


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (corpus(a=[2, 2]), "the speakers are: a. Trials of two .*valid_spea"),
        ({}, "the speakers are: none"),
        (corpus(a=[1], b=[1], c=[1]), "each of 3 speakers has one clip.*add"),
    ],
)
def test_draws_that_are_not_possible(records, expected):
    with pytest.raises(DataError, match=expected):
        draw_trials(records, 1)


def test_drawn_trials_are_read_as_they_are_written(tmp_path):
    trials = draw_trials(MANY, 1)
    write_trials(tmp_path / "list.txt", trials)
    read = read_trials(tmp_path / "list.txt", MANY.get)
    assert rows_of(read) == rows_of(trials) and read.md5 == trials.md5
