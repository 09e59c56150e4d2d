//! A Merkle Patricia trie over keys of 32 bytes, its nodes in two vectors.
//!
//! A branch knows the depth at which the keys below it part ways; what lies between it and its parent is the extension,
//! whose nibbles any leaf below can tell. So an extension is no node of its own, and searching never reads one: a search
//! goes by single nibbles down to a leaf, and only that leaf's key is compared.
//!
//! A node's cached reference is the one its parent writes, extension included. It belongs to the place where the node
//! hangs; whoever hangs a node elsewhere marks it unknown.

use alloy_primitives::{B256, Bytes};
use alloy_trie::EMPTY_ROOT_HASH;

use super::node::{Encoder, Key, Reference, first_difference, nibble};

/// Position of a node, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct NodeId(u32);

const LEAF_BIT: u32 = 1 << 31;

enum Node {
    None,
    Leaf(u32),
    Branch(u32),
}

impl NodeId {
    const NONE: Self = Self(u32::MAX);

    const fn leaf(at: u32) -> Self {
        Self(at | LEAF_BIT)
    }

    const fn node(self) -> Node {
        if self.0 == u32::MAX {
            Node::None
        } else if self.0 & LEAF_BIT != 0 {
            Node::Leaf(self.0 & !LEAF_BIT)
        } else {
            Node::Branch(self.0)
        }
    }

    const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }
}

struct Leaf<V> {
    key: Key,
    reference: Reference,
    value: V,
}

struct Branch {
    children: [NodeId; 16],
    reference: Reference,
    /// The nibble of the key that chooses the child.
    depth: u8,
}

/// A vector with holes that are filled again. Grows by an eighth: a million nodes must not double.
struct Slots<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    const fn new() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }

    fn add(&mut self, item: T) -> u32 {
        if let Some(at) = self.free.pop() {
            self.items[at as usize] = item;
            return at;
        }
        if self.items.len() == self.items.capacity() {
            self.items.reserve_exact(1 + self.items.len() / 8);
        }
        self.items.push(item);
        self.items.len() as u32 - 1
    }

    fn at(&self, at: u32) -> &T {
        &self.items[at as usize]
    }

    fn at_mut(&mut self, at: u32) -> &mut T {
        &mut self.items[at as usize]
    }

    fn memory(&self) -> usize {
        self.items.capacity() * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

/// Where a node hangs: a branch's child, or the root.
type Place = Option<(u32, usize)>;

/// A trie of values; what a value's bytes are, the caller says when it asks for hashes.
pub(super) struct Arena<V> {
    root: NodeId,
    /// The nibble at which the path of the topmost node begins.
    from: u8,
    leaves: Slots<Leaf<V>>,
    branches: Slots<Branch>,
}

impl<V> Default for Arena<V> {
    fn default() -> Self {
        Self { root: NodeId::NONE, from: 0, leaves: Slots::new(), branches: Slots::new() }
    }
}

impl<V: PartialEq> Arena<V> {
    pub(super) const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// How many leaves there are.
    pub(super) fn len(&self) -> usize {
        self.leaves.items.len() - self.leaves.free.len()
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        self.leaves.memory() + self.branches.memory()
    }

    /// The only leaf that could have this key.
    fn candidate(&self, key: &Key) -> Option<u32> {
        let mut at = self.root;
        loop {
            match at.node() {
                Node::None => return None,
                Node::Leaf(leaf) => return Some(leaf),
                Node::Branch(branch) => {
                    let branch = self.branches.at(branch);
                    at = branch.children[nibble(key, branch.depth)];
                }
            }
        }
    }

    fn find(&self, key: &Key) -> Option<u32> {
        self.candidate(key).filter(|leaf| self.leaves.at(*leaf).key == *key)
    }

    pub(super) fn get(&self, key: &Key) -> Option<&V> {
        Some(&self.leaves.at(self.find(key)?).value)
    }

    /// Any leaf of the subtree.
    fn any_leaf(&self, mut at: NodeId) -> Option<u32> {
        loop {
            match at.node() {
                Node::None => return None,
                Node::Leaf(leaf) => return Some(leaf),
                Node::Branch(branch) => {
                    let children = &self.branches.at(branch).children;
                    at = children.iter().copied().find(|child| !child.is_none())?;
                }
            }
        }
    }

    /// A leaf that shares as much of the key as any does.
    fn nearest(&self, key: &Key) -> Option<u32> {
        let mut at = self.root;
        while let Node::Branch(number) = at.node() {
            let branch = self.branches.at(number);
            let next = branch.children[nibble(key, branch.depth)];
            if next.is_none() {
                return self.any_leaf(at);
            }
            at = next;
        }
        self.any_leaf(at)
    }

    fn reference(&self, at: NodeId) -> Option<&Reference> {
        match at.node() {
            Node::None => None,
            Node::Leaf(leaf) => Some(&self.leaves.at(leaf).reference),
            Node::Branch(branch) => Some(&self.branches.at(branch).reference),
        }
    }

    fn set_reference(&mut self, at: NodeId, reference: Reference) {
        match at.node() {
            Node::None => {}
            Node::Leaf(leaf) => self.leaves.at_mut(leaf).reference = reference,
            Node::Branch(branch) => self.branches.at_mut(branch).reference = reference,
        }
    }

    fn hang(&mut self, place: Place, node: NodeId) {
        match place {
            None => self.root = node,
            Some((branch, child)) => self.branches.at_mut(branch).children[child] = node,
        }
    }

    /// Marks the nodes on the way of a key as unknown, down to the first that does not part above `depth`. That node and
    /// where it hangs.
    fn descend(&mut self, key: &Key, depth: u8) -> (Place, NodeId) {
        let mut place = None;
        let mut at = self.root;
        while let Node::Branch(number) = at.node() {
            let branch = self.branches.at_mut(number);
            if branch.depth >= depth {
                break;
            }
            branch.reference = Reference::UNKNOWN;
            let child = nibble(key, branch.depth);
            place = Some((number, child));
            at = branch.children[child];
        }
        (place, at)
    }

    /// Marks the leaf of this key, and what is above it, as unknown. Nothing happens where there is none.
    pub(super) fn touch(&mut self, key: &Key) {
        if let Some(leaf) = self.find(key) {
            self.descend(key, u8::MAX);
            self.leaves.at_mut(leaf).reference = Reference::UNKNOWN;
        }
    }

    /// Sets the value of a key.
    pub(super) fn set(&mut self, key: &Key, value: V) {
        let nearest = self.nearest(key).map(|leaf| (leaf, first_difference(&self.leaves.at(leaf).key, key)));
        match nearest {
            Some((leaf, None)) => {
                if self.leaves.at(leaf).value != value {
                    self.descend(key, u8::MAX);
                    let leaf = self.leaves.at_mut(leaf);
                    leaf.value = value;
                    leaf.reference = Reference::UNKNOWN;
                }
            }
            Some((leaf, Some(depth))) => {
                let other = self.leaves.at(leaf).key;
                self.insert(key, value, (&other, depth));
            }
            None => self.root = self.new_leaf(key, value),
        }
    }

    fn new_leaf(&mut self, key: &Key, value: V) -> NodeId {
        NodeId::leaf(self.leaves.add(Leaf { key: *key, reference: Reference::UNKNOWN, value }))
    }

    /// Adds a key that parts from its nearest neighbour at a depth.
    fn insert(&mut self, key: &Key, value: V, (neighbour, depth): (&Key, u8)) {
        let leaf = self.new_leaf(key, value);
        let (place, below) = self.descend(key, depth);
        if let Node::Branch(number) = below.node() {
            let branch = self.branches.at_mut(number);
            if branch.depth == depth {
                branch.children[nibble(key, depth)] = leaf;
                branch.reference = Reference::UNKNOWN;
                return;
            }
        }
        let mut children = [NodeId::NONE; 16];
        children[nibble(neighbour, depth)] = below;
        children[nibble(key, depth)] = leaf;
        self.set_reference(below, Reference::UNKNOWN);
        let branch = self.branches.add(Branch { children, reference: Reference::UNKNOWN, depth });
        self.hang(place, NodeId(branch));
    }

    /// Removes a key; nothing happens where there is none.
    pub(super) fn remove(&mut self, key: &Key) {
        let Some(leaf) = self.find(key) else { return };
        self.leaves.free.push(leaf);
        let (Some((parent, child)), _) = self.descend(key, u8::MAX) else {
            self.root = NodeId::NONE;
            return;
        };
        let branch = self.branches.at_mut(parent);
        branch.children[child] = NodeId::NONE;
        let depth = branch.depth;
        let mut left = branch.children.iter().copied().filter(|child| !child.is_none());
        if let (Some(only), None) = (left.next(), left.next()) {
            let (place, _) = self.descend(key, depth);
            self.branches.free.push(parent);
            self.set_reference(only, Reference::UNKNOWN);
            self.hang(place, only);
        }
    }

    /// Computes what is unknown and answers how the topmost node is referred to, its path beginning at nibble `from`;
    /// `None` if there is none. `write` writes what a leaf holds.
    pub(super) fn refresh(
        &mut self,
        from: u8,
        encoder: &mut Encoder,
        write: &impl Fn(&Key, &V, &mut Vec<u8>),
    ) -> Option<Reference> {
        if self.from != from {
            self.from = from;
            self.set_reference(self.root, Reference::UNKNOWN);
        }
        self.refresh_node(self.root, from, encoder, write);
        self.reference(self.root).copied()
    }

    /// The root hash of this trie standing alone.
    pub(super) fn root_hash(
        &mut self,
        encoder: &mut Encoder,
        write: &impl Fn(&Key, &V, &mut Vec<u8>),
    ) -> B256 {
        self.refresh(0, encoder, write).map_or(EMPTY_ROOT_HASH, |root| root.root_hash())
    }

    fn refresh_node(
        &mut self,
        at: NodeId,
        from: u8,
        encoder: &mut Encoder,
        write: &impl Fn(&Key, &V, &mut Vec<u8>),
    ) {
        if self.reference(at).is_none_or(Reference::is_known) {
            return;
        }
        let reference = match at.node() {
            Node::None => return,
            Node::Leaf(leaf) => {
                let leaf = self.leaves.at(leaf);
                Reference::of(encoder.leaf(&leaf.key, from, |out| write(&leaf.key, &leaf.value, out)))
            }
            Node::Branch(number) => {
                let Branch { children, depth, .. } = *self.branches.at(number);
                for child in children {
                    // A path has 64 nibbles, so calls are at most 64 deep.
                    self.refresh_node(child, depth + 1, encoder, write);
                }
                let branch = Reference::of(self.encode_branch(number, encoder));
                match self.any_leaf(at) {
                    Some(leaf) if depth > from => {
                        Reference::of(encoder.extension(&self.leaves.at(leaf).key, from, depth, &branch))
                    }
                    _ => branch,
                }
            }
        };
        self.set_reference(at, reference);
    }

    fn encode_branch<'e>(&self, number: u32, encoder: &'e mut Encoder) -> &'e [u8] {
        encoder.branch(self.branches.at(number).children.iter().map(|child| self.reference(*child)))
    }

    /// Appends the nodes on the way of a key, topmost first, as far as they are not part of their parents: proof of its
    /// value, or of its absence. To be called after [`Arena::refresh`] with the same `from`.
    pub(super) fn prove(
        &self,
        key: &Key,
        encoder: &mut Encoder,
        write: &impl Fn(&Key, &V, &mut Vec<u8>),
        out: &mut Vec<Bytes>,
    ) {
        let (mut at, mut from) = (self.root, self.from);
        loop {
            match at.node() {
                Node::None => return,
                Node::Leaf(leaf) => {
                    let leaf = self.leaves.at(leaf);
                    push(out, encoder.leaf(&leaf.key, from, |out| write(&leaf.key, &leaf.value, out)));
                    return;
                }
                Node::Branch(number) => {
                    let depth = self.branches.at(number).depth;
                    let Some(leaf) = self.any_leaf(at) else { return };
                    let sample = self.leaves.at(leaf).key;
                    if depth > from {
                        let branch = Reference::of(self.encode_branch(number, encoder));
                        push(out, encoder.extension(&sample, from, depth, &branch));
                        if first_difference(&sample, key).is_some_and(|parting| parting < depth) {
                            return;
                        }
                    }
                    push(out, self.encode_branch(number, encoder));
                    at = self.branches.at(number).children[nibble(key, depth)];
                    from = depth + 1;
                }
            }
        }
    }
}

/// Adds a node to a proof, unless its parent holds it whole (as geth's `Trie.Prove`).
pub(super) fn push(out: &mut Vec<Bytes>, rlp: &[u8]) {
    if rlp.len() >= 32 || out.is_empty() {
        out.push(Bytes::copy_from_slice(rlp));
    }
}

impl<V: PartialEq> Extend<(Key, V)> for Arena<V> {
    fn extend<I: IntoIterator<Item = (Key, V)>>(&mut self, items: I) {
        for (key, value) in items {
            self.set(&key, value);
        }
    }
}
