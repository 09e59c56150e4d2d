//! The storage of one contract: its leaves packed until it is first written to, a trie of its own from then on.

use alloy_primitives::{B256, Bytes, U256};
use alloy_trie::EMPTY_ROOT_HASH;

use super::arena::Arena;
use super::node::{Encoder, Key, put_string, trimmed};

/// A slot's value, big-endian; never zero.
type Slot = [u8; 32];

/// A leaf's value: RLP of the number (Yellow Paper, § 4.1).
fn write(_: &Key, value: &Slot, out: &mut Vec<u8>) {
    put_string(out, trimmed(value));
}

enum Leaves {
    /// Per leaf its key, the length of its value (one byte) and the value; in key order.
    Cold(Box<[u8]>),
    Warm(Box<Arena<Slot>>),
}

/// All slots of one contract and their root.
pub(super) struct Storage {
    leaves: Leaves,
    /// Marked unknown by every write.
    root: Option<B256>,
}

impl Default for Storage {
    fn default() -> Self {
        Self { leaves: Leaves::Cold(Box::default()), root: Some(EMPTY_ROOT_HASH) }
    }
}

/// Packs leaves that come in key order.
#[derive(Default)]
pub(super) struct Packer(Vec<u8>);

impl Packer {
    pub(super) fn push(&mut self, key: &Key, value: U256) {
        let value = value.to_be_bytes::<32>();
        let value = trimmed(&value);
        self.0.extend_from_slice(key);
        self.0.push(value.len() as u8);
        self.0.extend_from_slice(value);
    }

    pub(super) const fn len_bytes(&self) -> usize {
        self.0.len()
    }

    pub(super) fn finish(self) -> Storage {
        Storage { leaves: Leaves::Cold(self.0.into_boxed_slice()), root: None }
    }
}

/// Leaves of the packed form.
fn unpacked(mut packed: &[u8]) -> impl Iterator<Item = (Key, Slot)> {
    core::iter::from_fn(move || {
        let (key, rest) = packed.split_first_chunk::<32>()?;
        let (&length, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at_checked(usize::from(length))?;
        packed = rest;
        let mut slot = [0; 32];
        slot[32 - value.len()..].copy_from_slice(value);
        Some((*key, slot))
    })
}

impl Storage {
    pub(super) fn is_empty(&self) -> bool {
        match &self.leaves {
            Leaves::Cold(packed) => packed.is_empty(),
            Leaves::Warm(arena) => arena.is_empty(),
        }
    }

    fn warm(&mut self) -> &mut Arena<Slot> {
        if let Leaves::Cold(packed) = &self.leaves {
            let mut arena = Arena::default();
            arena.extend(unpacked(packed));
            self.leaves = Leaves::Warm(Box::new(arena));
        }
        match &mut self.leaves {
            Leaves::Warm(arena) => arena,
            Leaves::Cold(_) => unreachable!("it has just been warmed"),
        }
    }

    /// Sets a slot, or removes it (zero). Whether its root was known until now.
    pub(super) fn set(&mut self, key: &Key, value: U256) -> bool {
        let was_known = self.root.take().is_some();
        let arena = self.warm();
        if value.is_zero() {
            arena.remove(key);
        } else {
            arena.set(key, value.to_be_bytes());
        }
        was_known
    }

    /// Computes the root, if it is not known.
    pub(super) fn refresh(&mut self, encoder: &mut Encoder) {
        if self.root.is_some() {
            return;
        }
        self.root = Some(match &mut self.leaves {
            Leaves::Warm(arena) => arena.root_hash(encoder, &write),
            Leaves::Cold(packed) => {
                let mut arena = Arena::default();
                arena.extend(unpacked(packed));
                arena.root_hash(encoder, &write)
            }
        });
    }

    /// Whether the root is known.
    pub(super) const fn is_settled(&self) -> bool {
        self.root.is_some()
    }

    /// The root as last computed.
    pub(super) fn known_root(&self) -> B256 {
        self.root.unwrap_or(EMPTY_ROOT_HASH)
    }

    /// The value of a slot and the nodes that prove it; no nodes where the whole storage is empty.
    pub(super) fn prove(&mut self, key: &Key, encoder: &mut Encoder) -> (U256, Vec<Bytes>) {
        let mut nodes = Vec::new();
        let arena = self.warm();
        arena.refresh(0, encoder, &write);
        arena.prove(key, encoder, &write, &mut nodes);
        (arena.get(key).copied().map_or(U256::ZERO, U256::from_be_bytes), nodes)
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        match &self.leaves {
            Leaves::Cold(packed) => packed.len(),
            Leaves::Warm(arena) => size_of::<Arena<Slot>>() + arena.memory(),
        }
    }
}
