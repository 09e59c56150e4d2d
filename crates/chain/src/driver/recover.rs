//! Opening a chain: genesis into a new store, repairs after a crash, the tree from its records.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::durable::Durability;
use super::records::Record;
use super::roots::Roots;
use super::{Driver, Parts};
use crate::amend::{Amendments, is_on};
use crate::published::Published;
use crate::tree::{Status, Tree};
use crate::watched::Watched;
use crate::{
    Block, BlockId, Codec, Delta, Fault, Header, Headers, Height, Ledger, StateView, Step, TableId,
    TableKind, Timeline, Timestamp, View,
};

impl<L: Ledger> Driver<L> {
    /// Opens the chain in a store: writes genesis into a new one, repairs what a crash left in an old one, and goes on
    /// connecting blocks that are stored.
    ///
    /// # Errors
    /// A [`Fault`] when the disk fails, or the store belongs to another chain.
    pub fn open(mut parts: Parts<L>, now: Timestamp) -> Result<Self, Fault> {
        let (genesis, delta) = parts.ledger.genesis();
        let weight = parts.consensus.weight(genesis.header());
        let root: Headers<L> = Headers::genesis(genesis.header().clone(), weight);
        if parts.store.head().is_none() {
            write_genesis(&mut parts, &genesis, delta)?;
        }
        let Recorded { mut tree, proofs, amendments, rewound } = read_records(&parts, root.clone())?;
        let head = step_back_to_known(&mut parts, &tree)?;
        let head = tree.get(&head).expect("stepping back ended at a known block").headers.clone();
        if !head.contains(&root) {
            return Err(Fault::new("the data directory belongs to another chain"));
        }
        for block in head.down() {
            tree.set_status(&block.id(), Status::Valid);
        }
        if head.weight() == root.weight() {
            // Without weights the leading branch is the one that was chosen last.
            tree.prefer(Some(head.id()));
        }
        let rewinding = rewound.filter(|to| head.contains(to)).map(|to| to.id());
        if rewinding.is_some() {
            tree.prefer(rewinding);
        }
        let timeline = Timeline::new();
        let state = StateView::new(parts.ledger.tables(), parts.store.rows(), timeline.pin());
        let head = View { headers: head, state };
        // What a process left behind that was killed may still be on its way to the disk.
        parts.store.sync()?;
        let watched = Arc::new(Watched::new(parts.store.bodies()));
        let published = Arc::new(Published {
            ledger: Arc::clone(&parts.ledger),
            head: RwLock::new(head.clone()),
            amendments: RwLock::new(amendments),
            tree: RwLock::new(tree),
            pool: RwLock::new(L::Pool::default()),
            bodies: watched.clone(),
            watched,
            missing: RwLock::new(BTreeSet::new()),
            durable: RwLock::new(head.headers.clone()),
            proofs: RwLock::new(proofs),
            subscribers: Mutex::new(Vec::new()),
            fault: Mutex::new(None),
        });
        let roots = Roots::load(&head, Arc::clone(&published))?;
        let base = published.head();
        let mut driver = Self {
            parts,
            published,
            timeline,
            base,
            head,
            flights: VecDeque::new(),
            flight_count: 0,
            prepared: HashMap::new(),
            prepared_bytes: 0,
            built: HashMap::new(),
            preparing: HashMap::new(),
            waiting: HashMap::new(),
            finalizing: Vec::new(),
            settling: Vec::new(),
            revisions: VecDeque::new(),
            rewinding,
            roots,
            maintaining: false,
            stalled: false,
            unfinished: false,
            durability: Durability::default(),
        };
        driver.advance(now);
        Ok(driver)
    }
}

fn write_genesis<L: Ledger>(parts: &mut Parts<L>, genesis: &L::Block, delta: Delta) -> Result<(), Fault> {
    let id = genesis.header().id();
    parts.store.put_body(id, Height::GENESIS, &genesis.to_bytes())?;
    let receipts = Bytes::from(L::Receipts::default().to_bytes());
    let step = Step { from: BlockId::ZERO, to: id, delta, receipts };
    parts.store.journal(core::slice::from_ref(&step))?;
    parts.store.apply(&step);
    parts.store.sync()
}

/// What the records tell.
struct Recorded<L: Ledger> {
    tree: Tree<L>,
    proofs: HashMap<BlockId, crate::Proof>,
    amendments: Amendments,
    /// Where the chain was going back to.
    rewound: Option<Headers<L>>,
}

fn read_records<L: Ledger>(parts: &Parts<L>, root: Headers<L>) -> Result<Recorded<L>, Fault> {
    let bodies = parts.store.bodies();
    let mut tree = Tree::new(root);
    let mut proofs = HashMap::new();
    let mut amendments = Amendments::default();
    let mut rewound = None;
    let tables = parts.ledger.tables();
    let is_ordered =
        |table: TableId| tables.get(usize::from(table.0)).is_some_and(|spec| spec.kind == TableKind::Ordered);
    let damaged =
        |error: crate::DecodeError| Fault::new(format!("a record of the block tree is damaged: {error}"));
    for record in parts.store.records()? {
        match Record::decode(&record).map_err(damaged)? {
            Record::Header(bytes) => {
                let header = L::Header::decode(&bytes).map_err(damaged)?;
                // After a power cut records may be missing in the middle of a branch: what hangs in the air is fetched again.
                let Some(parent) = tree.get(&header.parent()).map(|entry| entry.headers.clone()) else {
                    continue;
                };
                let weight = parts.consensus.weight(&header);
                let headers = parent.child(header, weight);
                let id = headers.id();
                if tree.get(&id).is_none() {
                    tree.insert(headers);
                    if bodies.has_body(&id) {
                        tree.body_stored(id);
                    }
                }
            }
            Record::Invalid(id, reason) => drop(tree.invalidate(id, &reason)),
            Record::Reconsidered(id) => tree.reconsider(id, |id| bodies.has_body(id)),
            Record::Amended(id, delta) => {
                let delta = Delta::decode(&delta, is_ordered).map_err(damaged)?;
                amendments.add(id, &delta, is_ordered);
            }
            Record::Rewound(id, delta) => {
                let delta = Delta::decode(&delta, is_ordered).map_err(damaged)?;
                // What is not known any more was lost with the power, and what was changed there with it.
                if let Some(to) = tree.get(&id).map(|entry| entry.headers.clone()) {
                    tree.rewind(to.clone());
                    let known = |id: &BlockId| tree.get(id).map(|entry| entry.headers.clone());
                    amendments.rewind(id, delta, |id| is_on(&to, known(id)));
                    rewound = Some(to);
                }
            }
            Record::Arrived(_) => rewound = None,
            Record::Finalized(id, proof) => {
                if let Some(block) = tree.get(&id).map(|entry| entry.headers.clone()) {
                    tree.set_finalized(block);
                    proofs.insert(id, proof);
                }
            }
            Record::Base(id) => tree.set_base(&id),
        }
    }
    Ok(Recorded { tree, proofs, amendments, rewound })
}

/// Undoes journal steps until the head is a block whose header and body are there: a power cut may keep the journal's
/// newest steps and lose what they speak of.
fn step_back_to_known<L: Ledger>(parts: &mut Parts<L>, tree: &Tree<L>) -> Result<BlockId, Fault> {
    let bodies = parts.store.bodies();
    loop {
        let head = parts.store.head().ok_or_else(|| Fault::new("the journal is empty"))?;
        let known = tree.get(&head).is_some_and(|entry| entry.linked && !tree.is_invalid(&head));
        if known {
            return Ok(head);
        }
        let missing = || Fault::new(format!("block {} is unknown and cannot be undone", L::show_id(&head.0)));
        let connected = bodies.connected(&head)?.ok_or_else(missing)?;
        if connected.parent == BlockId::ZERO {
            return Err(Fault::new("the data directory belongs to another chain: its genesis is different"));
        }
        let step = Step {
            from: head,
            to: connected.parent,
            delta: connected.delta.inverse(),
            receipts: Bytes::new(),
        };
        parts.store.journal(core::slice::from_ref(&step))?;
        parts.store.apply(&step);
        // The way may be long, and rows that moved must not pile up in memory.
        if let Some(task) = parts.store.maintenance() {
            task();
        }
    }
}
