//! The block tree: every header ever accepted, how far its block has come, and which branches may lead.
//!
//! Invariants:
//! - a descendant of an invalid block is invalid;
//! - `candidates` holds exactly the blocks that could be the tip: bodies on the whole way, nothing invalid, not lighter than
//!   the head; the heaviest is found without a search of the tree;
//! - equal weight: the branch whose body was complete first leads.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use crate::{BlockId, Headers, Ledger, Reason, Weight};

/// How far a block has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its header is valid; no body is known.
    Header,
    /// Its body is stored, not executed.
    Stored,
    /// Executed; deferred checks are running.
    Executed,
    /// Everything holds.
    Valid,
    /// Breaks the rules, or descends from a block that does.
    Invalid(Reason),
}

/// What is known of one block.
pub struct BlockInfo<L: Ledger> {
    /// The branch it ends.
    pub headers: Headers<L>,
    /// How far it has come.
    pub status: Status,
}

/// What the tree knows of one block.
pub(crate) struct Entry<L: Ledger> {
    pub(crate) headers: Headers<L>,
    pub(crate) status: Status,
    /// Whether this block and all its ancestors have bodies.
    pub(crate) linked: bool,
    /// Order in which blocks became linked; earlier wins at equal weight.
    pub(crate) sequence: u64,
    pub(crate) children: Vec<BlockId>,
}

/// Heaviest last; at equal weight the earliest linked last.
type Rank = (Weight, core::cmp::Reverse<u64>, BlockId);

pub(crate) struct Tree<L: Ledger> {
    entries: HashMap<BlockId, Entry<L>>,
    /// Blocks without children.
    leaves: HashSet<BlockId>,
    candidates: BTreeSet<Rank>,
    best_header: Headers<L>,
    sequence: u64,
    preferred: Option<BlockId>,
    safe: Option<Headers<L>>,
    finalized: Option<Headers<L>>,
    /// Genesis, or the block whose state was imported.
    base: Headers<L>,
}

impl<L: Ledger> Tree<L> {
    /// The tree that is genesis alone, valid.
    pub(crate) fn new(genesis: Headers<L>) -> Self {
        let id = genesis.id();
        let entry = Entry {
            headers: genesis.clone(),
            status: Status::Valid,
            linked: true,
            sequence: 0,
            children: Vec::new(),
        };
        let candidates = BTreeSet::from([(genesis.weight(), core::cmp::Reverse(0), id)]);
        Self {
            entries: HashMap::from([(id, entry)]),
            leaves: HashSet::from([id]),
            candidates,
            best_header: genesis.clone(),
            base: genesis,
            sequence: 0,
            preferred: None,
            safe: None,
            finalized: None,
        }
    }

    pub(crate) fn get(&self, id: &BlockId) -> Option<&Entry<L>> {
        self.entries.get(id)
    }

    pub(crate) fn best_header(&self) -> &Headers<L> {
        &self.best_header
    }

    /// The block nothing below which can be undone: genesis, or the one whose state was imported.
    pub(crate) fn base(&self) -> &Headers<L> {
        &self.base
    }

    /// Has the chain begin with a block whose headers are all there: it leads without the bodies of its ancestors, and no branch
    /// from below it ever will.
    pub(crate) fn set_base(&mut self, id: &BlockId) {
        let Some(base) = self.get(id).map(|entry| entry.headers.clone()) else { return };
        for block in base.down() {
            let Some(entry) = self.entries.get_mut(&block.id()) else { continue };
            let rank = rank(entry);
            (entry.status, entry.linked) = (Status::Valid, false);
            self.candidates.remove(&rank);
        }
        self.sequence += 1;
        if let Some(entry) = self.entries.get_mut(id) {
            (entry.linked, entry.sequence) = (true, self.sequence);
            let rank = rank(entry);
            self.candidates.insert(rank);
        }
        self.base = base;
    }

    pub(crate) fn safe(&self) -> Option<&Headers<L>> {
        self.safe.as_ref()
    }

    pub(crate) fn finalized(&self) -> Option<&Headers<L>> {
        self.finalized.as_ref()
    }

    pub(crate) fn set_safe(&mut self, block: Headers<L>) {
        self.safe = Some(block);
    }

    pub(crate) fn set_finalized(&mut self, block: Headers<L>) {
        if self.safe.as_ref().is_none_or(|safe| safe.height() < block.height()) {
            self.safe = Some(block.clone());
        }
        self.finalized = Some(block);
    }

    /// Makes a block of the chain the one to follow and, if something above it was, the last that is final.
    pub(crate) fn rewind(&mut self, to: Headers<L>) {
        for mark in [&mut self.safe, &mut self.finalized] {
            if mark.as_ref().is_some_and(|mark| mark.height() > to.height()) {
                *mark = Some(to.clone());
            }
        }
        self.preferred = Some(to.id());
    }

    pub(crate) fn preferred(&self) -> Option<&Headers<L>> {
        self.preferred.and_then(|id| self.get(&id)).map(|entry| &entry.headers)
    }

    pub(crate) fn prefer(&mut self, id: Option<BlockId>) {
        self.preferred = id;
    }

    /// Adds a header whose parent is in the tree. A child of an invalid block is invalid.
    pub(crate) fn insert(&mut self, headers: Headers<L>) {
        let parent_id = headers.header_parent();
        let parent = self.entries.get_mut(&parent_id).expect("the caller found the parent in the tree");
        parent.children.push(headers.id());
        self.leaves.remove(&parent_id);
        self.leaves.insert(headers.id());
        let status = match &parent.status {
            Status::Invalid(reason) => Status::Invalid(reason.clone()),
            _ => Status::Header,
        };
        if status == Status::Header && headers.weight() > self.best_header.weight() {
            self.best_header = headers.clone();
        }
        let entry =
            Entry { headers: headers.clone(), status, linked: false, sequence: 0, children: Vec::new() };
        self.entries.insert(headers.id(), entry);
    }

    /// Notes that the body is stored. Links it and its descendants if its parent is linked.
    pub(crate) fn body_stored(&mut self, id: BlockId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.status == Status::Header {
            entry.status = Status::Stored;
        }
        let parent = entry.headers.header_parent();
        if self.entries.get(&parent).is_some_and(|parent| parent.linked) {
            self.link(id);
        }
    }

    /// Notes that the body is not stored any more: neither this block nor its descendants can lead without it.
    pub(crate) fn body_lost(&mut self, id: BlockId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if !matches!(entry.status, Status::Invalid(_)) {
            entry.status = Status::Header;
        }
        for id in self.subtree(id) {
            if let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.linked) {
                entry.linked = false;
                let rank = rank(entry);
                self.candidates.remove(&rank);
            }
        }
    }

    fn link(&mut self, from: BlockId) {
        let mut queue = VecDeque::from([from]);
        while let Some(id) = queue.pop_front() {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if entry.linked || matches!(entry.status, Status::Header | Status::Invalid(_)) {
                continue;
            }
            self.sequence += 1;
            entry.linked = true;
            entry.sequence = self.sequence;
            queue.extend(entry.children.iter().copied());
            let rank = rank(entry);
            self.candidates.insert(rank);
        }
    }

    pub(crate) fn set_status(&mut self, id: &BlockId, status: Status) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.status = status;
        }
    }

    /// Marks a block and all its descendants invalid; returns how many changed.
    pub(crate) fn invalidate(&mut self, id: BlockId, reason: &Reason) -> usize {
        let mut changed = 0;
        for id in self.subtree(id) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if !matches!(entry.status, Status::Invalid(_)) {
                changed += 1;
                self.candidates.remove(&rank(entry));
                entry.linked = false;
                entry.status = Status::Invalid(reason.clone());
            }
        }
        if self.is_invalid(&self.best_header.id()) {
            self.find_best_header();
        }
        changed
    }

    /// Forgets invalid verdicts of a block's ancestors, itself and its descendants. `has_body` tells which bodies are stored.
    pub(crate) fn reconsider(&mut self, id: BlockId, has_body: impl Fn(&BlockId) -> bool) {
        let Some(entry) = self.entries.get(&id) else { return };
        // Above a valid block everything is valid.
        let fallen = entry.headers.down().map(|block| block.id()).take_while(|id| self.is_invalid(id));
        let mut forgiven: Vec<_> = fallen.collect();
        forgiven.reverse();
        forgiven.extend(self.subtree(id));
        let mut relink = Vec::new();
        for id in forgiven {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if matches!(entry.status, Status::Invalid(_)) {
                entry.status = if has_body(&id) { Status::Stored } else { Status::Header };
                relink.push(id);
            }
        }
        for id in relink {
            self.body_stored_again(id);
        }
        self.find_best_header();
    }

    fn body_stored_again(&mut self, id: BlockId) {
        if self.entries.get(&id).is_some_and(|entry| entry.status == Status::Stored) {
            self.body_stored(id);
        }
    }

    /// A block and all its descendants, parents first.
    fn subtree(&self, id: BlockId) -> Vec<BlockId> {
        let mut found = vec![id];
        let mut at = 0;
        while let Some(entry) = found.get(at).map(|id| self.entries.get(id)) {
            found.extend(entry.into_iter().flat_map(|entry| &entry.children));
            at += 1;
        }
        found
    }

    fn find_best_header(&mut self) {
        let ends = self.valid_ends().into_iter();
        let best = ends.max_by_key(|block| (block.weight(), core::cmp::Reverse(block.id())));
        if let Some(best) = best
            && (best.weight() > self.best_header.weight() || self.is_invalid(&self.best_header.id()))
        {
            self.best_header = best.clone();
        }
    }

    /// Leaves, or the first valid block below a leaf that is not. What is invalid is passed once, what is valid not at all.
    fn valid_ends(&self) -> Vec<&Headers<L>> {
        let mut passed = HashSet::new();
        let mut ends = Vec::new();
        for leaf in &self.leaves {
            let mut at = self.get(leaf);
            while let Some(entry) = at.filter(|entry| matches!(entry.status, Status::Invalid(_))) {
                let fresh = passed.insert(entry.headers.id());
                at = fresh.then(|| self.get(&entry.headers.header_parent())).flatten();
            }
            ends.extend(at.map(|entry| &entry.headers));
        }
        ends
    }

    pub(crate) fn is_invalid(&self, id: &BlockId) -> bool {
        matches!(self.get(id).map(|entry| &entry.status), Some(Status::Invalid(_)))
    }

    /// The best block that could be the tip: the heaviest, or the preferred one unless it is lighter. Nothing beside or
    /// below the finalized block counts.
    pub(crate) fn best_candidate(&self) -> Option<&Headers<L>> {
        let above_final = |headers: &&Headers<L>| {
            self.finalized.as_ref().is_none_or(|final_block| headers.contains(final_block))
        };
        let ranked = self.candidates.iter().rev().filter_map(|rank| self.get(&rank.2));
        let heaviest = ranked.map(|entry| &entry.headers).find(above_final);
        let preferred = self.preferred.and_then(|id| self.get(&id)).filter(|entry| entry.linked);
        let preferred = preferred.map(|entry| &entry.headers).filter(above_final);
        let weight = heaviest.map_or(Weight::ZERO, Headers::weight);
        preferred.filter(|preferred| preferred.weight() >= weight).or(heaviest)
    }

    /// Whether `challenger` should replace `tip`: heavier, or as heavy and preferred.
    pub(crate) fn leads(&self, challenger: &Headers<L>, tip: &Headers<L>) -> bool {
        let preferred = self.preferred == Some(challenger.id()) && challenger.id() != tip.id();
        challenger.weight() > tip.weight() || (preferred && challenger.weight() >= tip.weight())
    }

    /// Candidates no heavier than the head will not lead again unless the head becomes invalid, or one is preferred, and that one
    /// is looked up by itself. Below a head that has fallen all of them count.
    pub(crate) fn prune_candidates(&mut self, head: &Headers<L>) {
        let Some(own) = self.get(&head.id()).filter(|entry| entry.linked).map(rank) else { return };
        // Every rank of the head's weight sorts at or below this.
        let above = (head.weight(), core::cmp::Reverse(0), BlockId([0xff; 32]));
        self.candidates = self.candidates.split_off(&above);
        self.candidates.insert(own);
    }

    /// Refills the candidates after a head was lost.
    pub(crate) fn refill_candidates(&mut self) {
        self.candidates = self.entries.values().filter(|entry| entry.linked).map(rank).collect();
    }

    pub(crate) fn tips(&self) -> Vec<BlockInfo<L>> {
        let ends = self.leaves.iter().filter_map(|id| self.get(id));
        ends.map(|entry| BlockInfo { headers: entry.headers.clone(), status: entry.status.clone() }).collect()
    }
}

fn rank<L: Ledger>(entry: &Entry<L>) -> Rank {
    (entry.headers.weight(), core::cmp::Reverse(entry.sequence), entry.headers.id())
}
