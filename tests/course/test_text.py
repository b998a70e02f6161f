"""Sequences: numbers of tokens and batches against what a plain reading of the text gives."""

import itertools
import random

import pytest
import torch

import helpers as mu
from helpers.base import CourseworkError

TEXT = "The Time-Machine, by H. G. Wells\n\nThe Time Traveller (for so it\n"


@pytest.fixture
def book(tmp_path):
    file = tmp_path / "book.txt"
    file.write_text(TEXT)
    return file


def test_lines_tokens_and_numbers(book):
    lines = mu.read_time_machine(book)
    assert lines == ["the time machine by h g wells", "", "the time traveller for so it"]
    words = mu.tokenize(lines)
    assert words[0][:3] == ["the", "time", "machine"] and mu.tokenize(["ab"], "char") == [["a", "b"]]
    vocab = mu.Vocab(words, reserved_tokens=["<pad>"])
    assert vocab.idx_to_token[:4] == ["<unk>", "<pad>", "the", "time"]  # frequent first, then by letters
    assert vocab["the"] == 2 and vocab[["time", "unheard"]] == [3, 0] and len(vocab) == 14
    assert vocab.to_tokens([2, 3]) == ["the", "time"] and vocab.to_tokens(3) == "time"
    assert len(mu.Vocab(words, min_freq=2)) == 3
    with pytest.raises(CourseworkError, match="token=letter"):
        mu.tokenize(lines, "letter")


@pytest.mark.parametrize("order", [mu.seq_data_iter_random, mu.seq_data_iter_consecutive])
def test_every_row_is_a_piece_of_the_text_and_what_follows_it(order):
    batches = list(order(list(range(100)), 4, 5))
    assert len(batches) in (4, 5)
    for X, Y in batches:
        assert X.shape == Y.shape == (4, 5)
        assert torch.equal(Y, X + 1) and torch.equal(X, X[:, :1] + torch.arange(5))
    starts = [int(row[0]) for X, _ in batches for row in X]
    assert len(set(starts)) == len(starts)


def test_rows_go_on_in_the_next_batch_or_are_shuffled():
    batches = list(mu.seq_data_iter_consecutive(list(range(100)), 4, 5))
    assert all(torch.equal(before[0] + 5, after[0]) for before, after in itertools.pairwise(batches))
    random.seed(3)
    starts = [int(X[0, 0]) for X, _ in mu.seq_data_iter_random(list(range(1000)), 1, 5)]
    assert starts != sorted(starts) and {start % 5 for start in starts} == {min(starts) % 5}


def test_the_books_letters_come_in_batches(book):
    batches, vocab = mu.load_data_time_machine(2, 3, max_tokens=40, file=book)
    assert len(batches.corpus) == 40
    assert "".join(vocab.to_tokens(batches.corpus)) == "the time machine by h g wellsthe time tr"
    X, Y = next(iter(batches))
    assert X.shape == (2, 3) and torch.equal(X[:, 1:], Y[:, :-1])
    random_batches, _ = mu.load_data_time_machine(2, 3, use_random_iter=True, max_tokens=40, file=book)
    assert len(list(random_batches)) in (5, 6)


def test_the_book_is_found_in_the_data_folders_or_asked_for_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setenv("COURSEWORK_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(CourseworkError, match=r"there is no .*elsewhere/timemachine.txt or ../data/timemachine.txt"):
        mu.load_data_time_machine(2, 3)
    for folder in ("data", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "timemachine.txt").write_text(f"from {folder}")
        assert mu.read_time_machine() == [f"from {folder}"]
