//! Bytes of trie nodes: hex-prefix paths, RLP, and how a parent refers to a child.
//!
//! Sources: Yellow Paper, appendix B (RLP), C (hex-prefix encoding) and D (the node composition function).

use alloy_primitives::{B256, keccak256};

/// Path of a leaf: Keccak-256 of an address or a slot.
pub(super) type Key = [u8; 32];

/// Nibbles of a key.
pub(super) const NIBBLES: u8 = 64;

/// The nibble of a key at a depth below [`NIBBLES`].
pub(super) fn nibble(key: &Key, depth: u8) -> usize {
    let byte = key[usize::from(depth / 2)];
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

/// Where two keys differ first; `None` if they are equal.
pub(super) fn first_difference(left: &Key, right: &Key) -> Option<u8> {
    let at = left.iter().zip(right).position(|(a, b)| a != b)?;
    let high_differs = (left[at] ^ right[at]) >> 4 != 0;
    Some(2 * at as u8 + u8::from(!high_differs))
}

/// How a parent names a child: its hash, or its RLP where that is shorter than 32 bytes. Or not known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    /// 0: not known. 1 to 31: so much RLP. 32: a hash.
    len: u8,
    bytes: [u8; 32],
}

impl Reference {
    /// Must be computed first.
    pub(super) const UNKNOWN: Self = Self { len: 0, bytes: [0; 32] };

    /// Of a node's RLP.
    pub(super) fn of(rlp: &[u8]) -> Self {
        let mut bytes = [0; 32];
        match bytes.get_mut(..rlp.len()) {
            Some(room) if rlp.len() < 32 => room.copy_from_slice(rlp),
            _ => return Self { len: 32, bytes: keccak256(rlp).0 },
        }
        Self { len: rlp.len() as u8, bytes }
    }

    pub(super) const fn is_known(&self) -> bool {
        self.len != 0
    }

    /// Whether the parent holds the whole node.
    pub(super) const fn is_inline(&self) -> bool {
        self.len < 32
    }

    /// The root hash of a trie whose topmost node this is: hashed, however short (Yellow Paper, equation for TRIE).
    pub(super) fn root_hash(&self) -> B256 {
        if self.is_inline() {
            keccak256(&self.bytes[..usize::from(self.len)])
        } else {
            B256::from(self.bytes)
        }
    }
}

/// Writes one node after another into one buffer.
#[derive(Default)]
pub(super) struct Encoder {
    /// Room for a list's header, then its payload.
    list: Vec<u8>,
    /// A leaf's value.
    value: Vec<u8>,
}

/// The longest header of a list shorter than 64 KiB: a node's are all shorter than 1 KiB.
const HEADER_MAX: usize = 3;

impl Encoder {
    fn begin(&mut self) {
        self.list.clear();
        self.list.extend_from_slice(&[0; HEADER_MAX]);
    }

    fn finish(&mut self) -> &[u8] {
        let payload = self.list.len() - HEADER_MAX;
        let start = match payload {
            0..=55 => {
                self.list[2] = 0xc0 + payload as u8;
                2
            }
            56..=255 => {
                self.list[1..3].copy_from_slice(&[0xf8, payload as u8]);
                1
            }
            _ => {
                self.list[..3].copy_from_slice(&[0xf9, (payload >> 8) as u8, payload as u8]);
                0
            }
        };
        &self.list[start..]
    }

    /// A branch with these children; it never has a value, because all keys are equally long.
    pub(super) fn branch<'a>(&mut self, children: impl Iterator<Item = Option<&'a Reference>>) -> &[u8] {
        self.begin();
        for child in children {
            match child {
                Some(child) => put_reference(&mut self.list, child),
                None => self.list.push(0x80),
            }
        }
        self.list.push(0x80);
        self.finish()
    }

    /// An extension over the nibbles `from..to` of a key.
    pub(super) fn extension(&mut self, key: &Key, from: u8, to: u8, child: &Reference) -> &[u8] {
        self.begin();
        put_path(&mut self.list, key, (from, to), 0x00);
        put_reference(&mut self.list, child);
        self.finish()
    }

    /// A leaf whose path are the nibbles of its key from `from` on; `value` writes what it holds.
    pub(super) fn leaf(&mut self, key: &Key, from: u8, value: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        self.begin();
        put_path(&mut self.list, key, (from, NIBBLES), 0x20);
        self.value.clear();
        value(&mut self.value);
        put_string(&mut self.list, &self.value);
        self.finish()
    }
}

fn put_reference(out: &mut Vec<u8>, child: &Reference) {
    if !child.is_inline() {
        out.push(0xa0);
    }
    out.extend_from_slice(&child.bytes[..usize::from(child.len)]);
}

/// Hex-prefix encoding as an RLP string. `flag` is 0x20 for leaves, else 0.
fn put_path(out: &mut Vec<u8>, key: &Key, (from, to): (u8, u8), flag: u8) {
    let odd = (to - from) % 2;
    let len = 1 + (to - from) / 2;
    let first = if odd == 1 { flag | 0x10 | nibble(key, from) as u8 } else { flag };
    if len > 1 {
        out.push(0x80 + len);
    }
    // A single byte below 0x80 is its own RLP.
    out.push(first);
    let mut at = from + odd;
    while at < to {
        out.push((nibble(key, at) << 4 | nibble(key, at + 1)) as u8);
        at += 2;
    }
}

/// RLP of a string shorter than 256 bytes.
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes {
        [byte] if *byte < 0x80 => {}
        _ if bytes.len() < 56 => out.push(0x80 + bytes.len() as u8),
        _ => out.extend_from_slice(&[0xb8, bytes.len() as u8]),
    }
    out.extend_from_slice(bytes);
}

/// Big-endian bytes without leading zeros.
pub(super) fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_where_they_differ() {
        let key = [0xab; 32];
        assert_eq!(first_difference(&key, &key), None);
        for depth in 0..NIBBLES {
            let mut other = key;
            other[usize::from(depth / 2)] ^= if depth % 2 == 0 { 0x10 } else { 1 };
            assert_eq!(first_difference(&key, &other), Some(depth));
            assert_ne!(nibble(&key, depth), nibble(&other, depth));
        }
    }

    #[test]
    fn paths_are_hex_prefixed() {
        // Yellow Paper, appendix C, as the wiki's examples: [1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [15, 1, 12, 11, 8], both kinds.
        let check = |start: &[u8], range, flag, expected: &[u8]| {
            let mut key = [0; 32];
            key[..start.len()].copy_from_slice(start);
            let mut out = Vec::new();
            put_path(&mut out, &key, range, flag);
            assert_eq!(out, expected);
        };
        check(&[0x01, 0x23, 0x45], (1, 6), 0, &[0x83, 0x11, 0x23, 0x45]);
        check(&[0x01, 0x23, 0x45], (0, 6), 0, &[0x84, 0x00, 0x01, 0x23, 0x45]);
        check(&[0x0f, 0x1c, 0xb8], (1, 6), 0x20, &[0x83, 0x3f, 0x1c, 0xb8]);
        check(&[0x0f, 0x1c, 0xb8], (0, 6), 0x20, &[0x84, 0x20, 0x0f, 0x1c, 0xb8]);
        check(&[0x0f], (1, 2), 0, &[0x1f]);
        check(&[0x0f], (2, 2), 0x20, &[0x20]);
    }
}
