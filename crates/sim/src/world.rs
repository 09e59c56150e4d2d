//! Nodes, links and time: everything that is not the product, in one thread and from one seed.
//!
//! Invariant: the next event is the earliest in the queue; at equal times the one that was queued first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{Block, BlockId, Fault, Header, Headers, Ledger, Pool, Refusal, Transaction};
use chainwright_network::{ConnectionKind, Host, Input, NetworkAddress, Output, PeerId};
use chainwright_store::{Disk as _, SimulatedDisk};

use crate::consumer::Consumer;
use crate::node::Life;
use crate::{Cell, Model, Random};

/// Virtual time starts here: seconds since 1970, later than every genesis block.
const START_SECONDS: u64 = 1_790_000_000;
/// A closed connection is tried again after this.
const RECONNECT_MS: u64 = 5_000;

/// What a run has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blocks written by anybody.
    pub blocks: u32,
    /// Head changes that disconnected something, on any node.
    pub reorganisations: u32,
    /// Blocks the deepest of them disconnected.
    pub deepest: u32,
    /// Processes killed and machines without power.
    pub crashes: u32,
    /// Transactions some pool took.
    pub transactions: u32,
}

pub(crate) struct SimNode<C: Cell> {
    pub(crate) disk: SimulatedDisk,
    pub(crate) life: Option<Life<C>>,
    lives: u64,
    wake_at: u64,
    pub(crate) head: Option<Headers<C::Ledger>>,
    pub(crate) consumer: Consumer<C::Ledger>,
}

enum Event {
    Deliver { link: usize, dial: u64, to: usize, bytes: Bytes },
    Wake { node: usize, life: u64 },
    Dial { link: usize },
}

/// Events are ordered by time and number alone.
struct Queued(u64, u64, Event);

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// A cable between two nodes.
struct Link {
    ends: [usize; 2],
    /// Nobody can connect while it is cut.
    cut: bool,
    up: bool,
    /// Counts connections; bytes of an earlier one are lost.
    dials: u64,
    delay_ms: u64,
    bytes_per_ms: u64,
    /// When each direction has delivered what was sent so far.
    free_at: [u64; 2],
}

/// The simulated world of one cell.
pub struct World<C: Cell> {
    /// What is simulated.
    pub cell: C,
    pub(crate) nodes: Vec<SimNode<C>>,
    pub(crate) now_ms: u64,
    pub(crate) random: Random,
    pub(crate) counts: Counts,
    /// Digest of everything that was published and sent; equal for equal seeds.
    pub(crate) trace: u64,
    queue: BinaryHeap<Reverse<Queued>>,
    queued: u64,
    links: Vec<Link>,
    models: HashMap<BlockId, C::Model>,
    /// Chance in 100 that a waiting task runs at a turn.
    patience: u64,
}

impl<C: Cell> World<C> {
    /// Nodes that all know each other.
    ///
    /// # Errors
    /// When a fresh store cannot be opened.
    pub fn new(seed: u64, count: usize) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let cell = C::new(seed);
        let (genesis, _) = cell.ledger().genesis();
        let nodes = (0..count).map(|_| SimNode {
            disk: SimulatedDisk::new(random.next()),
            life: None,
            lives: 0,
            wake_at: u64::MAX,
            head: None,
            consumer: Consumer::new(random.fork()),
        });
        let nodes = nodes.collect();
        let mut links = Vec::new();
        for a in 0..count {
            for b in a + 1..count {
                let delay_ms = 5 + random.below(200);
                let bytes_per_ms = 20 + random.below(2000);
                let free_at = [0, 0];
                links.push(Link {
                    ends: [a, b],
                    cut: false,
                    up: false,
                    dials: 0,
                    delay_ms,
                    bytes_per_ms,
                    free_at,
                });
            }
        }
        let models = HashMap::from([(genesis.header().id(), cell.model())]);
        let patience = 20 + random.below(80);
        let mut world = Self {
            cell,
            nodes,
            now_ms: START_SECONDS * 1000,
            random,
            counts: Counts::default(),
            trace: seed,
            queue: BinaryHeap::new(),
            queued: 0,
            links,
            models,
            patience,
        };
        for node in 0..count {
            world.start(node)?;
        }
        Ok(world)
    }

    fn push(&mut self, at: u64, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse(Queued(at, self.queued, event)));
    }

    fn note(&mut self, parts: &[&[u8]]) {
        // FNV-1a: a digest to compare runs with, not to trust.
        for byte in parts.iter().copied().flatten() {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Starts the process of a node and dials all its links.
    pub(crate) fn start(&mut self, node: usize) -> Result<(), String> {
        let seed = self.random.next();
        let disk = self.nodes[node].disk.clone();
        let life = Life::start(&self.cell, &disk, seed, self.now_ms)
            .map_err(|fault| format!("node {node} does not start: {fault}"))?;
        let state = &mut self.nodes[node];
        state.lives += 1;
        state.head = Some(life.published().head().headers);
        state.life = Some(life);
        state.wake_at = u64::MAX;
        for link in 0..self.links.len() {
            if self.links[link].ends.contains(&node) {
                self.push(self.now_ms + 1, Event::Dial { link });
            }
        }
        self.turn(node)
    }

    /// Ends the process of a node: by a kill, or with the power of its machine.
    pub(crate) fn stop(&mut self, node: usize, power: bool) {
        let state = &mut self.nodes[node];
        state.life = None;
        state.lives += 1;
        state.disk = if power { state.disk.crash() } else { state.disk.kill() };
        // The consumer has a machine of its own, which may run on: what it has saved or seen must not be news to the node.
        if self.random.percent(50) {
            state.consumer.crash();
        }
        self.counts.crashes += 1;
        for link in 0..self.links.len() {
            if self.links[link].ends.contains(&node) {
                self.hang_up(link);
            }
        }
    }

    /// Cuts or mends all links between nodes of different sides.
    pub(crate) fn partition(&mut self, side: impl Fn(usize) -> bool) {
        for link in 0..self.links.len() {
            let [a, b] = self.links[link].ends;
            let cut = side(a) != side(b);
            if cut && !self.links[link].cut {
                self.hang_up(link);
            }
            if !cut && self.links[link].cut {
                self.push(self.now_ms + 1, Event::Dial { link });
            }
            self.links[link].cut = cut;
        }
    }

    fn peer_of(&self, link: usize) -> PeerId {
        PeerId(self.links[link].dials * self.links.len() as u64 + link as u64)
    }

    fn hang_up(&mut self, link: usize) {
        if !core::mem::take(&mut self.links[link].up) {
            return;
        }
        let peer = self.peer_of(link);
        for node in self.links[link].ends {
            if let Some(life) = &mut self.nodes[node].life {
                life.tell(Input::Disconnected { peer }, self.now_ms);
            }
        }
        self.push(self.now_ms + RECONNECT_MS, Event::Dial { link });
    }

    fn dial(&mut self, link: usize) -> Result<(), String> {
        let Link { ends, cut, up, .. } = self.links[link];
        if cut || up || ends.iter().any(|&node| self.nodes[node].life.is_none()) {
            return Ok(());
        }
        self.links[link].dials += 1;
        self.links[link].up = true;
        self.links[link].free_at = [self.now_ms; 2];
        let peer = self.peer_of(link);
        for (at, kind) in [(0, ConnectionKind::Manual), (1, ConnectionKind::Inbound)] {
            let address = NetworkAddress { host: Host::Ip4([10, 0, 0, ends[1 - at] as u8]), port: 8333 };
            if let Some(life) = &mut self.nodes[ends[at]].life {
                life.tell(Input::Connected { peer, address, kind }, self.now_ms);
            }
        }
        self.turn(ends[0])?;
        self.turn(ends[1])
    }

    /// Lets virtual time pass.
    pub(crate) fn run_for(&mut self, ms: u64) -> Result<(), String> {
        let until = self.now_ms + ms;
        while self.queue.peek().is_some_and(|Reverse(next)| next.0 <= until) {
            let Some(Reverse(Queued(at, _, event))) = self.queue.pop() else { break };
            self.now_ms = self.now_ms.max(at);
            match event {
                Event::Deliver { link, dial, to, bytes } => self.deliver(link, dial, to, bytes)?,
                Event::Dial { link } => self.dial(link)?,
                Event::Wake { node, life } if self.nodes[node].lives == life => {
                    self.nodes[node].wake_at = u64::MAX;
                    let now_ms = self.now_ms;
                    if let Some(life) = &mut self.nodes[node].life {
                        life.tell(Input::Tick, now_ms);
                    }
                    self.turn(node)?;
                }
                Event::Wake { .. } => {}
            }
        }
        self.now_ms = until;
        Ok(())
    }

    fn deliver(&mut self, link: usize, dial: u64, to: usize, bytes: Bytes) -> Result<(), String> {
        if !self.links[link].up || self.links[link].dials != dial {
            return Ok(());
        }
        let (peer, now_ms) = (self.peer_of(link), self.now_ms);
        if let Some(life) = &mut self.nodes[to].life {
            life.tell(Input::Received { peer, bytes }, now_ms);
        }
        self.turn(to)
    }

    /// Lets a node do what it can do now.
    pub(crate) fn turn(&mut self, node: usize) -> Result<(), String> {
        let mut random = self.random.fork();
        let patience = self.patience;
        self.with_pool_law(node, |life, now_ms| life.turn(&mut random, patience, now_ms))
    }

    /// Lets a node do everything it has begun, the network aside.
    pub(crate) fn settle(&mut self, node: usize) -> Result<(), String> {
        let mut random = self.random.fork();
        self.with_pool_law(node, |life, now_ms| life.settle(&mut random, now_ms))
    }

    /// Lets a node handle some messages and nothing else.
    pub(crate) fn begin(&mut self, node: usize, messages: usize) {
        let now_ms = self.now_ms;
        if let Some(life) = &mut self.nodes[node].life {
            life.begin(messages, now_ms);
        }
    }

    /// Lets a node import a block up to the moment when it is the head, and no further.
    pub(crate) fn begin_import(&mut self, node: usize, block: <C::Ledger as Ledger>::Block) {
        let (now_ms, mut random) = (self.now_ms, self.random.fork());
        if let Some(life) = &mut self.nodes[node].life {
            life.begin_import(block, &mut random, now_ms);
        }
    }

    /// Runs a node and checks, when its head was reorganised meanwhile, that no transaction was lost (law L9).
    fn with_pool_law(
        &mut self,
        node: usize,
        act: impl FnOnce(&mut Life<C>, u64) -> Vec<Output<C::Ledger>>,
    ) -> Result<(), String> {
        let now_ms = self.now_ms;
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        let pool_before = life.published().pool().all();
        let outputs = act(life, now_ms);
        let heads = core::mem::take(&mut life.heads);
        if let Some(fault) = life.published().fault() {
            return Err(format!("node {node} reports a fault: {fault}"));
        }
        for output in outputs {
            self.perform(node, output)?;
        }
        if !heads.is_empty() {
            self.head_moved(node, heads.len(), &pool_before)?;
        }
        self.schedule(node);
        Ok(())
    }

    fn perform(&mut self, node: usize, output: Output<C::Ledger>) -> Result<(), String> {
        let ours = |world: &Self, peer: PeerId| {
            let link = (peer.0 % world.links.len() as u64) as usize;
            (world.links[link].up && world.peer_of(link) == peer).then_some(link)
        };
        match output {
            Output::Send { peer, bytes } => {
                if let Some(link) = ours(self, peer) {
                    self.send(node, link, bytes);
                }
            }
            Output::Disconnect { peer, why } => {
                if why.to_string().contains("invalid") {
                    return Err(format!("node {node} thinks an honest peer {why}"));
                }
                if let Some(link) = ours(self, peer) {
                    self.hang_up(link);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, from: usize, link: usize, bytes: Bytes) {
        self.note(&[&[from as u8], &(bytes.len() as u32).to_le_bytes(), &bytes[..bytes.len().min(24)]]);
        let jitter = self.random.below(20);
        let Link { ends, dials, delay_ms, bytes_per_ms, .. } = self.links[link];
        let side = usize::from(ends[1] == from);
        let travel = bytes.len() as u64 / bytes_per_ms;
        let at = (self.now_ms + delay_ms + jitter).max(self.links[link].free_at[side]) + travel;
        self.links[link].free_at[side] = at;
        self.push(at, Event::Deliver { link, dial: dials, to: ends[1 - side], bytes });
    }

    fn schedule(&mut self, node: usize) {
        let soon = 1 + self.random.below(40);
        let state = &mut self.nodes[node];
        let Some(life) = &state.life else { return };
        let wanted = if life.has_tasks() { self.now_ms + soon } else { life.wake_at().max(self.now_ms + 1) };
        if wanted < state.wake_at {
            state.wake_at = wanted;
            let event = Event::Wake { node, life: state.lives };
            self.push(wanted, event);
        }
    }

    fn head_moved(
        &mut self,
        node: usize,
        moves: usize,
        pool_before: &[Arc<<C::Ledger as Ledger>::Tx>],
    ) -> Result<(), String> {
        let Some(life) = &self.nodes[node].life else { return Ok(()) };
        let published = life.published().clone();
        let view = published.head();
        let new = view.headers.clone();
        let old = self.nodes[node].head.replace(new.clone()).unwrap_or_else(|| new.clone());
        self.note(&[b"head", &[node as u8], &new.id().0]);
        let fork = old.fork_point(&new);
        let depth = old.height().above(fork.height());
        let model = self.model_at(node, &new)?;
        self.nodes[node].consumer.maybe_follow(&published)?;
        if depth > 0 {
            self.counts.reorganisations += 1;
            self.counts.deepest = self.counts.deepest.max(depth);
            // Of several moves at once only the last picture is left: what did not fit in between may fit now.
            if moves == 1 {
                self.check_nothing_lost(node, (&old, &new), pool_before, &model)?;
            }
        }
        if depth > 0 || self.random.percent(10) {
            model.compare(&view).map_err(|error| format!("node {node} at {}: {error}", new.height()))?;
        }
        Ok(())
    }

    /// Law L9: what was disconnected, or waited, and still fits in the eyes of the naive model is in the pool, or the pool's
    /// policy refuses it today, or its family is too large for a pool.
    fn check_nothing_lost(
        &mut self,
        node: usize,
        (old, new): (&Headers<C::Ledger>, &Headers<C::Ledger>),
        pool_before: &[Arc<<C::Ledger as Ledger>::Tx>],
        model: &C::Model,
    ) -> Result<(), String> {
        let now_ms = self.now_ms;
        let mut random = self.random.clone();
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        let published = life.published().clone();
        let mut model = model.clone();
        for tx in published.pool().all() {
            model.apply_loose(&tx);
        }
        let fork = old.fork_point(new);
        let mut candidates = pool_before.to_vec();
        for block in old.down().take_while(|block| block.height() > fork.height()) {
            let body = published.read_block(&block.id()).map_err(|fault| fault.to_string())?;
            candidates.extend(body.iter().flat_map(|body| body.transactions().iter().cloned().map(Arc::new)));
        }
        for tx in &candidates {
            let waits = published.pool().get(&tx.id()).is_some();
            if waits || !model.is_reusable(tx) || !model.admits(tx) {
                continue;
            }
            if family_size(&model, &candidates, tx) > C::FAMILY_MAX {
                continue;
            }
            let id = <C::Ledger as Ledger>::show_id(&tx.id().0);
            let mut reply = life.chain.submit_dry_run(Arc::clone(tx));
            drop(life.settle(&mut random, now_ms));
            match reply.take() {
                Some(Err(Refusal::Policy(_))) => {}
                verdict => {
                    return Err(format!("L9: from {old:?} to {new:?} node {node} lost {id}: {verdict:?}"));
                }
            }
        }
        Ok(())
    }

    /// The naive state after a block, computed once for all nodes.
    pub(crate) fn model_at(&mut self, node: usize, block: &Headers<C::Ledger>) -> Result<C::Model, String> {
        let missing: Vec<_> =
            block.down().take_while(|block| !self.models.contains_key(&block.id())).collect();
        for block in missing.iter().rev() {
            let body = self.body(node, &block.id()).map_err(|fault| fault.to_string())?;
            let mut model = self.models[&block.header_parent()].clone();
            model
                .apply(&body)
                .map_err(|error| format!("a block at {} was accepted: {error}", block.height()))?;
            self.models.insert(block.id(), model);
        }
        Ok(self.models[&block.id()].clone())
    }

    pub(crate) fn body(&self, node: usize, id: &BlockId) -> Result<<C::Ledger as Ledger>::Block, Fault> {
        let life = self.nodes[node].life.as_ref().ok_or_else(|| Fault::new("the node is down"))?;
        life.published().read_block(id)?.ok_or_else(|| Fault::new("a published block has no body"))
    }

    /// Flips a bit of a stored block on a node's disk.
    pub(crate) fn flip_in_body(&mut self, node: usize, body: &[u8]) -> Result<(), String> {
        let disk = &self.nodes[node].disk;
        let names = disk.list().map_err(|error| error.to_string())?;
        for name in names.iter().filter(|name| name.starts_with("blocks-")) {
            let bytes = disk.bytes(name).unwrap_or_default();
            if let Some(at) = bytes.windows(body.len()).position(|window| window == body) {
                let mask = 1 << self.random.below(8);
                disk.flip(name, at + self.random.index(body.len()), mask);
                return Ok(());
            }
        }
        Err("a block of the chain is in no file".to_owned())
    }

    /// The process of a node, if it runs.
    pub(crate) fn life(&self, node: usize) -> Option<&Life<C>> {
        self.nodes[node].life.as_ref()
    }
}

/// How many of these transactions depend on each other with `first` among them.
fn family_size<L: Ledger, M: Model<L>>(model: &M, all: &[Arc<L::Tx>], first: &Arc<L::Tx>) -> usize {
    let mut family = vec![Arc::clone(first)];
    let mut at = 0;
    while let Some(member) = family.get(at).cloned() {
        for tx in all {
            let related = model.depends(tx, &member) || model.depends(&member, tx);
            if related && family.iter().all(|known| known.id() != tx.id()) {
                family.push(Arc::clone(tx));
            }
        }
        at += 1;
    }
    family.len()
}
