//! A chain that grows at random, and what a full pass over it says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use chainwright_chain::*;
use chainwright_indexes::{Indexes, Kind, Options, States, Tags};

use super::support::*;

/// A seeded source of numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Slots, and values modulo seven.
pub(crate) struct SlotTags;

impl Tags<Slots> for SlotTags {
    fn tags(&self, block: &TestBlock, (): &(), tag: &mut dyn FnMut(&[u8])) {
        for tx in &block.txs {
            tag(&slot_tag(tx.slot));
            tag(&value_tag(tx.value));
        }
    }
}

pub(crate) fn slot_tag(slot: u8) -> Vec<u8> {
    vec![0, slot]
}

pub(crate) fn value_tag(value: u8) -> Vec<u8> {
    vec![1, value % 7]
}

pub(crate) const ALL: Options = Options { items: true, tags: true, history: Some(States::All) };

pub(crate) fn open(bench: &Bench, folder: &Path, options: Options) -> Indexes<Slots> {
    let published = Arc::clone(bench.chain.published());
    Indexes::open(published, folder, options, Arc::new(SlotTags)).unwrap()
}

/// Follows to the end.
pub(crate) fn follow(indexes: &Indexes<Slots>, random: &mut Random) {
    while !indexes.follow(1 + random.below(5) as usize).unwrap() {}
}

/// All rows.
type State = BTreeMap<(TableId, Vec<u8>), Vec<u8>>;

/// A chain that is now and then left for a heavier branch.
pub(crate) struct Growing {
    pub(crate) bench: Bench,
    pub(crate) random: Random,
    chain: Vec<TestBlock>,
    /// Transactions of blocks that have left the chain, and some that came back.
    left: BTreeSet<[u8; 32]>,
}

impl Growing {
    pub(crate) fn new(seed: u64) -> Self {
        Self { bench: Bench::new(seed), random: Random(seed), chain: vec![genesis()], left: BTreeSet::new() }
    }

    pub(crate) fn height(&self) -> u32 {
        self.chain.len() as u32 - 1
    }

    /// One block on top, or a branch from below that is heavier at once.
    pub(crate) fn grow(&mut self) {
        let depth = if self.random.below(5) == 0 { self.random.below(7) as usize } else { 0 };
        let mut depth = depth.min(self.chain.len() - 1);
        let left = |depth: usize| &self.chain[self.chain.len() - depth..];
        let weigh = |depth| 1 + left(depth).iter().map(|block| u32::from(block.header.weight)).sum::<u32>();
        while weigh(depth) > u32::from(u8::MAX) {
            depth -= 1;
        }
        let weight = weigh(depth) as u8;
        let leaving = self.chain.split_off(self.chain.len() - depth);
        self.left.extend(leaving.iter().flat_map(|block| &block.txs).map(|tx| tx.id().0));
        // Values tell the transactions of one branch apart: no block has the height of another.
        let value = self.chain.len() as u8;
        let slots: BTreeSet<u8> = (0..=self.random.below(3)).map(|_| self.random.below(10) as u8).collect();
        let txs: Vec<_> = slots.into_iter().map(|slot| (slot, value)).collect();
        let block = block_on(self.chain.last().unwrap(), weight, &txs);
        self.bench.import(&block).unwrap();
        self.chain.push(block);
        assert_eq!(self.bench.head(), id(self.chain.last().unwrap()));
        assert_eq!(self.bench.chain.published().durable().id(), self.bench.head());
    }

    /// The branch of the head.
    pub(crate) fn head(&self) -> Headers<Slots> {
        self.bench.chain.published().head().headers
    }

    /// Rows after each block, by doing again what transactions do.
    fn states(&self) -> Vec<State> {
        let mut rows = BTreeMap::from([((SLOTS, vec![0]), vec![100])]);
        let mut states = vec![rows.clone()];
        for block in &self.chain[1..] {
            for tx in &block.txs {
                let slot: &mut Vec<u8> = rows.entry((SLOTS, vec![tx.slot])).or_insert_with(|| vec![0]);
                let sum = slot[0].wrapping_mul(31).wrapping_add(tx.value);
                *slot = vec![sum];
                if rows.remove(&(NAMES, vec![sum])).is_none() {
                    rows.insert((NAMES, vec![sum]), vec![tx.slot]);
                }
            }
            states.push(rows.clone());
        }
        states
    }

    /// Everything the indexes say up to `upto` is what a full pass says. From `oldest` on there are states.
    #[track_caller]
    pub(crate) fn check(&mut self, indexes: &Indexes<Slots>, upto: u32, oldest: u32) {
        self.check_items(indexes, upto);
        self.check_tags(indexes, upto);
        self.check_states(indexes, upto, oldest);
    }

    #[track_caller]
    fn check_items(&self, indexes: &Indexes<Slots>, upto: u32) {
        for (height, block) in self.chain.iter().enumerate() {
            for (position, tx) in block.txs.iter().enumerate() {
                let found = indexes.find(&tx.id().0).unwrap();
                let shared = found.upto.fork_point(&self.head()).height();
                assert!(shared.0 >= upto, "it stands at {shared}, and should at {upto}");
                let known = found.place.filter(|(at, _)| *at <= shared);
                let expected =
                    (height as u32 <= shared.0).then_some((Height(height as u32), position as u32));
                assert_eq!(known, expected);
            }
        }
        let present: BTreeSet<_> =
            self.chain.iter().flat_map(|block| &block.txs).map(|tx| tx.id().0).collect();
        for id in self.left.difference(&present).chain([&[7; 32]]) {
            let found = indexes.find(id).unwrap();
            // An index that stands on the branch that was left still knows of it, but above what is shared.
            let shared = found.upto.fork_point(&self.head()).height();
            assert_eq!(found.place.filter(|(at, _)| *at <= shared), None, "it has left the chain");
        }
    }

    #[track_caller]
    fn check_tags(&mut self, indexes: &Indexes<Slots>, upto: u32) {
        for _ in 0..8 {
            let slots: Vec<u8> = (0..self.random.below(3)).map(|_| self.random.below(10) as u8).collect();
            let values: Vec<u8> = (0..self.random.below(3)).map(|_| self.random.below(7) as u8).collect();
            let from = self.random.below(u64::from(self.height()) + 1) as u32;
            let to = from + self.random.below(300) as u32;
            let mut wanted = Vec::new();
            wanted.extend((!slots.is_empty()).then(|| slots.iter().map(|slot| slot_tag(*slot)).collect()));
            wanted
                .extend((!values.is_empty()).then(|| values.iter().map(|value| value_tag(*value)).collect()));
            let mut search = indexes.search(&wanted, Height(from), Height(to)).unwrap();
            let shared = search.upto().fork_point(&self.head()).height();
            assert!(shared.0 >= upto);
            let mut found = Vec::new();
            while let Some(part) = search.next_part().unwrap() {
                found.extend(part.into_iter().filter(|height| *height <= shared));
            }
            let fits = |block: &TestBlock| {
                (slots.is_empty() || block.txs.iter().any(|tx| slots.contains(&tx.slot)))
                    && (values.is_empty() || block.txs.iter().any(|tx| values.contains(&(tx.value % 7))))
            };
            let heights = from..=to.min(self.height()).min(shared.0);
            let expected: Vec<_> = heights.filter(|at| fits(&self.chain[*at as usize])).map(Height).collect();
            assert_eq!(found, expected, "{slots:?} and {values:?} from {from} to {to}");
        }
    }

    #[track_caller]
    fn check_states(&mut self, indexes: &Indexes<Slots>, upto: u32, oldest: u32) {
        let states = self.states();
        for height in oldest..=upto {
            let at = self.head().ancestor(Height(height)).unwrap();
            let view = indexes.view(&at).unwrap();
            assert_eq!(view.headers.id(), at.id());
            let expected = &states[height as usize];
            for slot in 0..10 {
                let value = view.state.get(SLOTS, &[slot]).unwrap().map(|value| value.to_vec());
                assert_eq!(value.as_ref(), expected.get(&(SLOTS, vec![slot])), "slot {slot} at {height}");
            }
            self.check_range(&view.state, expected);
            for table in [SLOTS, NAMES] {
                let mut scanned = BTreeMap::new();
                let visit = &mut |key: &[u8], value: &[u8]| {
                    assert_eq!(scanned.insert((table, key.to_vec()), value.to_vec()), None, "shown twice");
                    Ok(())
                };
                view.state.scan(table, visit).unwrap();
                assert!(scanned.iter().eq(expected.iter().filter(|((of, _), _)| *of == table)));
            }
        }
    }

    #[track_caller]
    fn check_range(&mut self, state: &StateView, expected: &State) {
        let from = vec![self.random.below(256) as u8 & (self.random.below(2) as u8).wrapping_neg()];
        let to = (self.random.below(2) == 0).then(|| vec![self.random.below(256) as u8]);
        let limit = self.random.below(40) as usize;
        let rows = state.range(NAMES, &from, to.as_deref(), limit).unwrap();
        let rows: Vec<_> = rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        let fits = |key: &Vec<u8>| *key >= from && to.as_ref().is_none_or(|to| key < to);
        let expected = expected.iter().filter(|((table, key), _)| *table == NAMES && fits(key));
        let expected: Vec<_> =
            expected.map(|((_, key), value)| (key.clone(), value.clone())).take(limit).collect();
        assert_eq!(rows, expected, "from {from:?} to {to:?}, {limit} at most");
    }
}

/// Where an index stands, as a height of the head's branch: the last block both share.
pub(crate) fn shared(indexes: &Indexes<Slots>, growing: &Growing, kind: Kind) -> u32 {
    let Some(cursor) = indexes.cursor(kind).unwrap() else { return 0 };
    let at = growing.bench.chain.published().headers(&cursor.id).unwrap();
    at.fork_point(&growing.head()).height().0
}
