//! Which blocks carry a tag: sets of heights, a fixed number of blocks at a time.
//!
//! ```text
//! key     hash of the tag 8 │ segment 4, big-endian           a segment is 2,048 blocks
//! value   offsets in the segment, ascending, 2 bytes each, while that is shorter; 256 bytes of bits otherwise
//! ```
//!
//! Two tags with one hash share their set. That makes a set larger, never smaller: who searches looks at the blocks.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use crate::database::Trouble;

const SEGMENT_BITS: u32 = 11;
/// Blocks of a segment.
pub(crate) const SEGMENT_BLOCKS: u32 = 1 << SEGMENT_BITS;
const BIT_BYTES: usize = SEGMENT_BLOCKS as usize / 8;
const WORDS: usize = BIT_BYTES / 8;

/// The segment of a height.
pub(crate) const fn segment_of(height: u32) -> u32 {
    height >> SEGMENT_BITS
}

/// A tag's hash. Whoever wants two tags to share one has to try 2^32 tags; and then gains nothing but slower searches.
pub(crate) fn hash_of(tag: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(0x6368_6169_6e77_7269, 0x6768_7420_7461_6773);
    hasher.write(tag);
    hasher.finish()
}

/// The key of a tag's set in a segment.
pub(crate) fn key(hash: u64, segment: u32) -> Vec<u8> {
    let mut key = hash.to_be_bytes().to_vec();
    key.extend_from_slice(&segment.to_be_bytes());
    key
}

/// Some of a segment's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks([u64; WORDS]);

impl Blocks {
    pub(crate) const NONE: Self = Self([0; WORDS]);

    /// Those of a segment that lie within two heights, both included.
    pub(crate) fn within(segment: u32, from: u32, to: u32) -> Self {
        let first = u64::from(segment) << SEGMENT_BITS;
        let mut blocks = Self::NONE;
        for offset in 0..SEGMENT_BLOCKS {
            if (u64::from(from)..=u64::from(to)).contains(&(first + u64::from(offset))) {
                blocks.insert(offset);
            }
        }
        blocks
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Trouble> {
        let mut blocks = Self::NONE;
        if bytes.len() == BIT_BYTES {
            for (word, bytes) in blocks.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            return Ok(blocks);
        }
        let (offsets, rest) = bytes.as_chunks::<2>();
        let offsets = offsets.iter().map(|offset| u32::from(u16::from_le_bytes(*offset)));
        if !rest.is_empty() || bytes.len() > BIT_BYTES || offsets.clone().any(|at| at >= SEGMENT_BLOCKS) {
            return Err(Trouble::Damaged("a set of blocks makes no sense".to_owned()));
        }
        offsets.for_each(|offset| blocks.insert(offset));
        Ok(blocks)
    }

    /// `None` if there are none.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let count = self.len();
        if count == 0 {
            return None;
        }
        if 2 * count < BIT_BYTES {
            return Some(self.offsets().flat_map(|offset| (offset as u16).to_le_bytes()).collect());
        }
        Some(self.0.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    pub(crate) fn insert(&mut self, offset: u32) {
        self.0[(offset / 64) as usize] |= 1 << (offset % 64);
    }

    pub(crate) fn remove(&mut self, offset: u32) {
        self.0[(offset / 64) as usize] &= !(1 << (offset % 64));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own |= other);
    }

    pub(crate) fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own &= other);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Places in the segment, ascending.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = u32> + '_ {
        let bits = |(at, word): (usize, &u64)| {
            let left = |word: u64| (word != 0).then_some(word);
            let words = std::iter::successors(left(*word), move |word| left(word & (word - 1)));
            words.map(move |word| at as u32 * 64 + word.trailing_zeros())
        };
        self.0.iter().enumerate().flat_map(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_survive_their_encoding_however_large_they_are() {
        for step in [1, 2, 15, 16, 17, 100, 2047] {
            let mut blocks = Blocks::NONE;
            (0..SEGMENT_BLOCKS).step_by(step).for_each(|offset| blocks.insert(offset));
            let bytes = blocks.encode().unwrap();
            assert!(bytes.len() <= BIT_BYTES, "{step}");
            assert_eq!(Blocks::decode(&bytes), Ok(blocks));
            assert_eq!(blocks.offsets().count(), blocks.len());
            assert!(blocks.offsets().all(|offset| offset.is_multiple_of(step as u32)));
        }
        let mut one = Blocks::NONE;
        one.insert(2047);
        assert_eq!(one.encode(), Some(vec![0xff, 0x07]));
        one.remove(2047);
        assert_eq!((one.encode(), one.is_empty()), (None, true));
        for bytes in [&[1][..], &[0, 8], &[0; 258]] {
            assert!(Blocks::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_range_is_cut_into_segments() {
        let heights = |segment| Blocks::within(segment, 2040, 4100).offsets().collect::<Vec<_>>();
        assert_eq!(heights(0), (2040..2048).collect::<Vec<_>>());
        assert_eq!(heights(1).len(), 2048);
        assert_eq!(heights(2), vec![0, 1, 2, 3, 4]);
        assert_eq!(Blocks::within(segment_of(u32::MAX), u32::MAX, u32::MAX).len(), 1);
    }
}
