"""The course's sequences: a text as tokens, their numbers, and batches of subsequences with what follows them."""

import collections
import random
import re
from pathlib import Path

import torch

from helpers import base
from helpers.base import CourseworkError

BOOK = "timemachine.txt"
URL = "http://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt"


def read_time_machine(file=None) -> list[str]:
    """The lines of The Time Machine by H. G. Wells, in small letters and single spaces alone.

    file: the book's text; default: timemachine.txt in the data folder or in the course's ../data. Mended: nothing is
    downloaded. Raises CourseworkError where there is no such file.
    """
    places = [Path(file)] if file else [base.data_folder() / BOOK, Path("../data") / BOOK]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        looked = " or ".join(str(place) for place in places)
        raise CourseworkError(f"there is no {looked}: put the course's file there ({URL}), or give file= another text")
    return [re.sub("[^A-Za-z]+", " ", line.strip().lower()) for line in path.read_text("utf-8").splitlines()]


def tokenize(lines, token="word") -> list[list[str]]:
    """Each line as a list of its words, or of its letters (token="char")."""
    base.check_choice("token", token, ("word", "char"))
    return [line.split(" ") if token == "word" else list(line) for line in lines]


def count_corpus(sentences) -> collections.Counter:
    """How often each token occurs in lists of tokens."""
    return collections.Counter(token for line in sentences for token in line)


class Vocab:
    """Tokens and their numbers: 0 is <unk>, then the reserved ones, then the frequent before the rare.

    `vocab[token]` is a number, `vocab[[token, ...]]` a list of them; `to_tokens` goes back.
    """

    def __init__(self, tokens, min_freq=0, reserved_tokens=None):
        in_order = sorted(count_corpus(tokens).items(), key=lambda item: (-item[1], item[0]))
        self.token_freqs, self.unk = in_order, 0
        frequent = [token for token, count in in_order if count >= min_freq]
        self.idx_to_token = list(dict.fromkeys(["<unk>", *(reserved_tokens or ()), *frequent]))
        self.token_to_idx = {token: index for index, token in enumerate(self.idx_to_token)}

    def __len__(self) -> int:
        return len(self.idx_to_token)

    def __getitem__(self, tokens):
        if isinstance(tokens, (list, tuple)):
            return [self[token] for token in tokens]
        return self.token_to_idx.get(tokens, self.unk)

    def to_tokens(self, indices):
        if isinstance(indices, (list, tuple)):
            return [self.idx_to_token[index] for index in indices]
        return self.idx_to_token[indices]


def load_corpus_time_machine(max_tokens=-1, file=None) -> tuple[list[int], Vocab]:
    """The book's letters as numbers (at most `max_tokens`, where that is positive), and their vocabulary."""
    tokens = tokenize(read_time_machine(file), "char")
    vocab = Vocab(tokens)
    corpus = [vocab[token] for line in tokens for token in line]
    return corpus[:max_tokens] if max_tokens > 0 else corpus, vocab


def seq_data_iter_random(corpus, batch_size, num_steps):
    """Batches of subsequences in random order: X and Y (batch_size, num_steps), Y one token further on.

    The subsequences do not overlap; the first starts at a random place among the first num_steps + 1.
    """
    corpus = corpus[random.randint(0, num_steps) :]
    starts = list(range(0, (len(corpus) - 1) // num_steps * num_steps, num_steps))
    random.shuffle(starts)
    for i in range(0, len(starts) - batch_size + 1, batch_size):
        chosen = starts[i : i + batch_size]
        X = [corpus[start : start + num_steps] for start in chosen]
        Y = [corpus[start + 1 : start + 1 + num_steps] for start in chosen]
        yield torch.tensor(X), torch.tensor(Y)


def seq_data_iter_consecutive(corpus, batch_size, num_steps):
    """Batches whose rows go on where they ended in the batch before: X and Y (batch_size, num_steps)."""
    offset = random.randint(0, num_steps)
    length = (len(corpus) - offset - 1) // batch_size  # of each row, over all batches
    end = offset + length * batch_size
    X = torch.tensor(corpus[offset:end]).reshape(batch_size, length)
    Y = torch.tensor(corpus[offset + 1 : end + 1]).reshape(batch_size, length)
    for i in range(0, length // num_steps * num_steps, num_steps):
        yield X[:, i : i + num_steps], Y[:, i : i + num_steps]


seq_data_iter_sequential = seq_data_iter_consecutive  # its name in later editions


class SeqDataLoader:
    """The book's batches, drawn anew for each pass; `.corpus` and `.vocab` are what they are made of."""

    def __init__(self, batch_size, num_steps, use_random_iter, max_tokens, file=None):
        self.data_iter_fn = seq_data_iter_random if use_random_iter else seq_data_iter_consecutive
        self.corpus, self.vocab = load_corpus_time_machine(max_tokens, file)
        self.batch_size, self.num_steps = batch_size, num_steps

    def __iter__(self):
        return self.data_iter_fn(self.corpus, self.batch_size, self.num_steps)


def load_data_time_machine(batch_size, num_steps, use_random_iter=False, max_tokens=10000, *, file=None):
    """(batches, vocabulary) of The Time Machine's letters; the book as for `read_time_machine`."""
    batches = SeqDataLoader(batch_size, num_steps, use_random_iter, max_tokens, file)
    return batches, batches.vocab
