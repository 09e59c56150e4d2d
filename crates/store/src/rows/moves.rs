//! Changes of the index on their way to a commit, as it holds them.

use super::ordered::{self, OrderedChange};
use super::place::Move;

/// The body of a commit: 20 bytes per move, shard after shard, then ordered rows.
#[derive(Default)]
pub(super) struct Moves {
    body: Vec<u8>,
    /// Where the moves of each shard end in the body.
    ends: Vec<usize>,
}

impl Moves {
    pub(super) fn with_capacity(moves: usize) -> Self {
        Self { body: Vec::with_capacity(moves * Move::BYTES), ends: Vec::new() }
    }

    /// Moves that are encoded already.
    pub(super) fn from_shards(shards: Vec<Vec<u8>>) -> Self {
        let mut moves =
            Self { body: Vec::with_capacity(shards.iter().map(Vec::len).sum()), ends: Vec::new() };
        for shard in shards {
            moves.body.extend_from_slice(&shard);
            moves.end_shard();
        }
        moves
    }

    pub(super) fn push(&mut self, change: Move) {
        change.encode(&mut self.body);
    }

    /// What is pushed from now on belongs to the next shard.
    pub(super) fn end_shard(&mut self) {
        self.ends.push(self.body.len());
    }

    /// To be called after the last shard.
    pub(super) fn add_ordered(&mut self, rows: &[OrderedChange]) {
        ordered::encode(rows, &mut self.body);
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn len(&self) -> usize {
        self.ends.last().map_or(0, |end| end / Move::BYTES)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Move> {
        decode(&self.body[..self.len() * Move::BYTES])
    }

    /// The moves of each shard.
    pub(super) fn by_shard(&self) -> impl Iterator<Item = impl Iterator<Item = Move>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| decode(&self.body[start..end]))
    }
}

fn decode(bytes: &[u8]) -> impl Iterator<Item = Move> {
    bytes.chunks_exact(Move::BYTES).filter_map(Move::decode)
}
