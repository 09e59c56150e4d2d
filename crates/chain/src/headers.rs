//! One branch of headers, seen from one block.
//!
//! Each block links to its parent and, like a skip list, to one far ancestor (Bitcoin Core,
//! `chain.cpp` `GetSkipHeight`), so that any ancestor is O(log n) away and branches share everything.

use std::sync::Arc;

use crate::{BlockId, Hash, Header, Height, Ledger, Timestamp, Weight};

/// How many blocks, itself included, the median time past looks at.
const MEDIAN_SPAN: usize = 11;

struct Node<H> {
    header: H,
    id: BlockId,
    height: Height,
    weight: Weight,
    parent: Option<Arc<Node<H>>>,
    skip: Option<Arc<Node<H>>>,
}

/// A million headers must not unwind a million stack frames.
impl<H> Drop for Node<H> {
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(mut node) = parent.and_then(Arc::into_inner) {
            parent = node.parent.take();
        }
    }
}

/// A branch up to one block. Cheap to clone.
pub struct Headers<L: Ledger>(Arc<Node<L::Header>>);

impl<L: Ledger> Clone for Headers<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L: Ledger> core::fmt::Debug for Headers<L> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Headers({} {})", self.height(), self.id())
    }
}

impl<L: Ledger> Headers<L> {
    /// The branch that is genesis alone.
    pub fn genesis(header: L::Header, weight: Weight) -> Self {
        let id = header.id();
        Self(Arc::new(Node { header, id, height: Height::GENESIS, weight, parent: None, skip: None }))
    }

    /// This branch with one more header, whose own weight is `weight`.
    #[must_use]
    pub fn child(&self, header: L::Header, weight: Weight) -> Self {
        let id = header.id();
        let height = self.height().next();
        let skip = self.ancestor(Height(skip_height(height.0))).map(|far| far.0);
        let weight = self.weight().plus(weight);
        Self(Arc::new(Node { header, id, height, weight, parent: Some(Arc::clone(&self.0)), skip }))
    }

    /// The block this branch ends with.
    pub fn id(&self) -> BlockId {
        self.0.id
    }

    /// Its distance from genesis.
    pub fn height(&self) -> Height {
        self.0.height
    }

    /// Its header.
    pub fn header(&self) -> &L::Header {
        &self.0.header
    }

    /// The sum of the weights from genesis up to it.
    pub fn weight(&self) -> Weight {
        self.0.weight
    }

    /// The branch without its last block; genesis has no parent.
    pub fn parent(&self) -> Option<Self> {
        self.0.parent.clone().map(Self)
    }

    /// The id of the block before the last one.
    pub fn header_parent(&self) -> BlockId {
        self.header().parent()
    }

    /// From this block down to genesis.
    pub fn down(&self) -> impl Iterator<Item = Self> + use<L> {
        core::iter::successors(Some(self.clone()), Self::parent)
    }

    /// The block of this branch at a height; `None` above its end.
    pub fn ancestor(&self, height: Height) -> Option<Self> {
        if height > self.height() {
            return None;
        }
        let mut at = &self.0;
        while at.height > height {
            let parent = at.parent.as_ref().expect("only genesis has no parent, and nothing is below it");
            // Jump unless the parent's own jump would land better (Bitcoin Core `CBlockIndex::GetAncestor`).
            at = match &at.skip {
                Some(skip) if is_better(skip.height, height, at.height) => skip,
                _ => parent,
            };
        }
        Some(Self(Arc::clone(at)))
    }

    /// The header at a height of this branch; `None` above its end.
    pub fn at(&self, height: Height) -> Option<L::Header> {
        self.ancestor(height).map(|block| block.header().clone())
    }

    /// Whether `other` is this block or one of its ancestors.
    pub fn contains(&self, other: &Self) -> bool {
        self.ancestor(other.height()).is_some_and(|block| block.id() == other.id())
    }

    /// The last block both branches share.
    pub fn fork_point(&self, other: &Self) -> Self {
        let height = self.height().min(other.height());
        let cut = |branch: &Self| branch.ancestor(height).expect("height is within both branches");
        let (mut left, mut right) = (cut(self), cut(other));
        while left.id() != right.id() {
            // Both stand at the same height and therefore have skips of the same length.
            let jump = left.0.skip.clone().zip(right.0.skip.clone()).filter(|(a, b)| a.id != b.id);
            let parents = || left.0.parent.clone().zip(right.0.parent.clone());
            let (a, b) = jump.or_else(parents).expect("branches of one chain meet at genesis");
            (left, right) = (Self(a), Self(b));
        }
        left
    }

    /// Median of the times of this block and up to ten before it.
    pub fn median_time(&self) -> Timestamp {
        let mut times: Vec<_> = self.down().take(MEDIAN_SPAN).map(|block| block.header().time()).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// The state root of the last block, if its headers carry one.
    pub fn state_root(&self) -> Option<Hash> {
        self.header().state_root()
    }
}

fn is_better(skip: Height, wanted: Height, at: Height) -> bool {
    let parent_skip = skip_height(at.0 - 1);
    skip >= wanted && (skip == wanted || !(parent_skip + 2 < skip.0 && parent_skip >= wanted.0))
}

/// The height a block's far link leads to: Bitcoin Core, `chain.cpp` `GetSkipHeight`.
const fn skip_height(height: u32) -> u32 {
    const fn without_lowest_bit(n: u32) -> u32 {
        n & n.wrapping_sub(1)
    }
    match height {
        0 | 1 => 0,
        odd if odd & 1 == 1 => without_lowest_bit(without_lowest_bit(odd - 1)) + 1,
        even => without_lowest_bit(even),
    }
}
