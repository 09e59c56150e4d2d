//! What the store should hold, kept in plain maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{
    BlockId, Change, Delta, Height, Rows, Step, Store, TableId, TableKind, TableSpec, table,
};
use chainwright_store::{Disk, DiskStore, Identity, OpenError, Options};

pub(crate) const COINS: TableId = TableId(0);
pub(crate) const NAMES: TableId = TableId(1);
pub(crate) const TABLES: &[TableSpec] =
    &[table("coins", TableKind::Point), table("names", TableKind::Ordered)];

pub(crate) fn identity() -> Identity {
    Identity { ledger: "toy".into(), engine: "solo".into(), chain: "test".into(), tables: TABLES }
}

/// Small enough that every mechanism is at work within a few blocks.
pub(crate) fn small() -> Options {
    Options {
        segment_bytes: 2_000,
        window_bytes: 3_000,
        checkpoint_bytes: 1_000,
        journal_steps_min: None,
        hash_key: Some((1, 2)),
    }
}

pub(crate) fn open(disk: impl Disk) -> Result<DiskStore, OpenError> {
    DiskStore::open(Arc::new(disk), identity(), small())
}

pub(crate) type State = BTreeMap<(TableId, Vec<u8>), Vec<u8>>;

/// SplitMix64, as in the simulated disk.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

/// A chain with every state it went through.
#[derive(Clone)]
pub(crate) struct Model {
    /// Blocks from genesis to the head, with the state after each.
    pub(crate) chain: Vec<(BlockId, Delta, State)>,
    /// Every block ever made, undone ones included.
    pub(crate) made: Vec<(BlockId, Delta)>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { chain: Vec::new(), made: Vec::new() }
    }

    pub(crate) fn state(&self) -> State {
        self.chain.last().map(|(_, _, state)| state.clone()).unwrap_or_default()
    }

    pub(crate) fn head(&self) -> Option<BlockId> {
        self.chain.last().map(|(id, ..)| *id)
    }

    /// A block that creates, changes and removes some rows.
    pub(crate) fn connect(&mut self, random: &mut Random, rows: usize) -> Step {
        let mut state = self.state();
        let mut changes = BTreeMap::new();
        for _ in 0..rows {
            let table = if random.below(4) == 0 { NAMES } else { COINS };
            let key = format!("key {}", random.below(60)).into_bytes();
            let new = (random.below(5) > 1).then(|| vec![random.below(256) as u8; random.below(70)]);
            let old = state.get(&(table, key.clone())).cloned();
            changes.entry((table, key)).or_insert((old, None)).1 = new;
        }
        let list = changes.iter().map(|((table, key), (old, new))| Change {
            table: *table,
            key,
            old: old.as_deref(),
            new: new.as_deref(),
        });
        let delta = Delta::from_changes(list);
        for (place, (_, new)) in changes {
            match new {
                Some(new) => drop(state.insert(place, new)),
                None => drop(state.remove(&place)),
            }
        }
        let mut id = [7; 32];
        id[..8].copy_from_slice(&(self.made.len() as u64 + 1).to_le_bytes());
        self.made.push((BlockId(id), delta.clone()));
        let from = self.head().unwrap_or(BlockId::ZERO);
        self.chain.push((BlockId(id), delta.clone(), state));
        Step { from, to: BlockId(id), delta, receipts: receipts_of(BlockId(id)) }
    }

    /// Undoes the newest block.
    pub(crate) fn disconnect(&mut self) -> Step {
        let (from, delta, _) = self.chain.pop().expect("there is a block");
        let to = self.head().unwrap_or(BlockId::ZERO);
        Step { from, to, delta: delta.inverse(), receipts: Bytes::new() }
    }
}

pub(crate) fn receipts_of(id: BlockId) -> Bytes {
    Bytes::copy_from_slice(&id.0[..5])
}

pub(crate) fn body_of(id: BlockId) -> Vec<u8> {
    id.0.repeat(1 + usize::from(id.0[0]) % 5)
}

/// Writes body, record and journal of a group, then applies it.
pub(crate) fn take(store: &mut DiskStore, steps: &[Step]) -> Result<(), chainwright_chain::Fault> {
    for step in steps.iter().filter(|step| !step.receipts.is_empty()) {
        store.put_body(step.to, Height(1), &body_of(step.to))?;
        store.put_record(&step.to.0)?;
    }
    store.journal(steps)?;
    for step in steps {
        store.apply(step);
    }
    Ok(())
}

/// Everything the rows answer is what the state says.
#[track_caller]
pub(crate) fn check_rows(rows: &dyn Rows, state: &State) {
    for number in 0..60 {
        let key = format!("key {number}").into_bytes();
        for table in [COINS, NAMES] {
            let found = rows.get(table, &key).expect("reads");
            let expected = state.get(&(table, key.clone()));
            assert_eq!(found.as_deref(), expected.map(Vec::as_slice), "{table:?} key {number}");
        }
    }
    assert_eq!(rows.get(COINS, b"absent").expect("reads"), None);
    let names: Vec<_> = rows.range(NAMES, b"", None, usize::MAX).expect("reads");
    let found = names.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
    let expected = state.range((NAMES, Vec::new())..);
    assert!(found.eq(expected.map(|((_, key), value)| (key.as_slice(), value.as_slice()))));
}

#[track_caller]
pub(crate) fn check(store: &DiskStore, model: &Model) {
    assert_eq!(store.head(), model.head());
    check_rows(store.rows().as_ref(), &model.state());
    let bodies = store.bodies();
    let mut parent = BlockId::ZERO;
    for (id, delta, _) in &model.chain {
        let connected = bodies.connected(id).expect("reads").expect("is in the journal");
        assert_eq!((&connected.delta, connected.receipts), (delta, receipts_of(*id)));
        assert_eq!(connected.parent, parent);
        assert_eq!(bodies.body(id).expect("reads").expect("is stored"), body_of(*id));
        parent = *id;
    }
}
