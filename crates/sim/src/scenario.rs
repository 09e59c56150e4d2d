//! One seed's story: what happens to the nodes, and which laws are asked when.

use chainwright_chain::{
    Attributes, Block, BlockId, Header, Headers, Imported, Ledger, Pool, Reject, Timestamp,
};

use crate::cell::Choice;
use crate::laws;
use crate::world::{Counts, World};
use crate::{Cell, Model};

/// Nodes of a run.
const NODES: usize = 3;
/// What a run must have been through to count.
pub const LEAST: Counts =
    Counts { blocks: 60, reorganisations: 4, deepest: 11, crashes: 2, transactions: 500 };
/// Actions after which a run that has not been through enough gives up.
const ACTIONS_MAX: u32 = 600;
/// How long all nodes may take to agree once every link works, in milliseconds of virtual time.
const AGREEMENT_MS: u64 = 30 * 60 * 1000;

/// A head and a block below it.
type Pair<C> = (Headers<<C as Cell>::Ledger>, Headers<<C as Cell>::Ledger>);
type BlockOf<C> = <<C as Cell>::Ledger as Ledger>::Block;

/// What a run showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the run has been through.
    pub counts: Counts,
    /// Digest of all messages and heads; equal seeds give equal traces.
    pub trace: u64,
}

/// Runs one seed of a cell through everything.
///
/// # Errors
/// The law that was broken, in words.
pub fn run<C: Cell>(seed: u64) -> Result<Report, String> {
    let mut world = World::<C>::new(seed, NODES)?;
    world.run_for(5_000)?;
    let mut actions = 0;
    let deep_at = 10 + world.random.below(20) as u32;
    while !world.counts.reaches(&LEAST) {
        actions += 1;
        if actions > ACTIONS_MAX {
            return Err(format!("the run did not get far enough: {:?}", world.counts));
        }
        if actions % deep_at == 0 && world.counts.deepest < LEAST.deepest {
            world.deep_reorganisation()?;
        }
        world.act()?;
        let pause = world.random.below(6_000);
        world.run_for(pause)?;
    }
    world.agree()?;
    // What came last is durable after half a minute, even where a heavier header promises more.
    world.run_for(31_000)?;
    let counts = world.counts;
    for node in 0..NODES {
        laws::check_at_rest(&mut world, node)?;
    }
    Ok(Report { counts, trace: world.trace })
}

impl Counts {
    /// Whether this is at least as much of everything.
    pub fn reaches(&self, least: &Self) -> bool {
        self.blocks >= least.blocks
            && self.reorganisations >= least.reorganisations
            && self.deepest >= least.deepest
            && self.crashes >= least.crashes
            && self.transactions >= least.transactions
    }
}

impl<C: Cell> World<C> {
    fn act(&mut self) -> Result<(), String> {
        let node = self.random.index(NODES);
        match self.random.below(100) {
            0..40 => self.write_block(node).map(drop),
            40..70 => self.submit(node),
            70..76 => self.disturb(node),
            76..80 => self.rival_branches(node),
            80..84 => self.crash(node),
            84..88 => self.mutated_body(node),
            88..91 => self.corrupted_block(node),
            91..93 => self.time_traveller(node),
            93..95 => self.power_cut_at_a_new_head(node),
            95..97 => self.crash_on_the_way_back(node),
            _ => self.operator(node),
        }
    }

    /// The node that may write: any, or the one with the key.
    fn writer(node: usize) -> usize {
        if C::CHOICE == Choice::Weight { node } else { 0 }
    }

    /// Builds, seals, checks and imports a block on a node (laws L4 and L5).
    pub(crate) fn write_block(&mut self, node: usize) -> Result<Option<BlockId>, String> {
        let node = Self::writer(node);
        let Some(block) = self.sealed(node)? else { return Ok(None) };
        let id = self.import_ours(node, block)?;
        if C::CHOICE == Choice::Proof {
            self.finalize(node, id)?;
        }
        Ok(Some(id))
    }

    /// A sealed block on a node's head.
    pub(crate) fn sealed(&mut self, node: usize) -> Result<Option<BlockOf<C>>, String> {
        let Some(life) = self.life(node) else { return Ok(None) };
        let chain = life.chain.clone();
        let published = life.published().clone();
        self.settle(node)?;
        let head = published.head();
        let before = laws::fingerprint(&published);
        let consensus = self.cell.consensus();
        let mut on: Attributes = consensus.attributes(&head.headers, Timestamp(self.now_ms / 1000));
        on.payee = self.cell.payee(node);
        let reply = chain.build(None, on.clone());
        let candidate =
            self.ask(node, reply)?.map_err(|reject| format!("L4: nothing could be built: {reject}"))?;
        let mut block = candidate.block;
        if !block.header().carries(&on) {
            return Err("L4: a built block does not carry the engine's attributes".to_owned());
        }
        if !consensus.seal(block.header_mut(), &|| false) {
            return Err("the seal was not found".to_owned());
        }
        let reply = chain.check(block.clone());
        self.ask(node, reply)?.map_err(|reject| format!("L4: a built block is refused: {reject}"))?;
        if laws::fingerprint(&published) != before {
            return Err("L5: building or checking had a side effect".to_owned());
        }
        Ok(Some(block))
    }

    fn import_ours(&mut self, node: usize, block: BlockOf<C>) -> Result<BlockId, String> {
        let id = block.header().id();
        let Some(life) = self.life(node) else { return Ok(id) };
        let reply = life.chain.import(block);
        self.counts.blocks += 1;
        match self.ask(node, reply)? {
            Ok(Imported::Valid | Imported::Stored | Imported::Known) => Ok(id),
            Err(reject) => Err(format!("L4: our own block is refused: {reject}")),
        }
    }

    fn finalize(&mut self, node: usize, id: BlockId) -> Result<(), String> {
        let Some(life) = self.life(node) else { return Ok(()) };
        let chain = life.chain.clone();
        let Some(block) = chain.published().headers(&id) else { return Ok(()) };
        let Some(proof) = self.cell.prove(&block) else { return Ok(()) };
        let reply = chain.finalize(id, proof);
        self.ask(node, reply)?.map_err(|reject| format!("a final block is refused: {reject}"))
    }

    /// Lets a node work until it has answered.
    fn ask<T>(&mut self, node: usize, mut reply: chainwright_chain::Reply<T>) -> Result<T, String> {
        self.settle(node)?;
        reply.take().ok_or_else(|| "the driver has settled without an answer".to_owned())
    }

    fn submit(&mut self, node: usize) -> Result<(), String> {
        let Some(life) = self.life(node) else { return Ok(()) };
        let chain = life.chain.clone();
        let head = chain.published().head().headers;
        let mut model = self.model_at(node, &head)?;
        for tx in chain.published().pool().all() {
            model.apply_loose(&tx);
        }
        let count = 5 + self.random.index(30);
        let mut random = self.random.fork();
        for tx in self.cell.transactions(&model, count, &mut random) {
            let reply = chain.submit(std::sync::Arc::new(tx));
            if self.ask(node, reply)?.is_ok() {
                self.counts.transactions += 1;
            }
        }
        Ok(())
    }

    /// Cuts one node off for a while.
    fn disturb(&mut self, node: usize) -> Result<(), String> {
        self.partition(|other| other == node);
        let ms = 2_000 + self.random.below(60_000);
        self.run_for(ms)?;
        self.partition(|_| false);
        Ok(())
    }

    /// Two sides write; the longer one wins when they meet.
    fn rival_branches(&mut self, node: usize) -> Result<(), String> {
        let length = 1 + self.random.index(4) as u32;
        self.rival(node, length, length + 1)
    }

    /// The adversary `withholder`: a node works alone on a branch of more than ten blocks, and the others on a longer one.
    fn deep_reorganisation(&mut self) -> Result<(), String> {
        let node = 1 + self.random.index(NODES - 1);
        let length = LEAST.deepest + self.random.below(4) as u32;
        self.rival(node, length, length + 1)
    }

    fn rival(&mut self, alone: usize, theirs: u32, ours: u32) -> Result<(), String> {
        self.restart_all()?;
        self.partition(|other| other == alone);
        let other = (alone + 1) % NODES;
        for n in 0..theirs.max(ours) {
            if n < theirs {
                self.write_alone(alone)?;
                // At the same second both sides might write the same block.
                self.run_for(1_000)?;
            }
            if n < ours {
                self.write_block(other)?;
            }
            if self.random.percent(50) {
                self.submit(if n % 2 == 0 { alone } else { other })?;
            }
            self.run_for(1_000)?;
        }
        self.partition(|_| false);
        self.run_for(90_000)
    }

    /// A block that is not final: by weight like any other, by preference where only one node decides what is final.
    fn write_alone(&mut self, node: usize) -> Result<(), String> {
        let Some(block) = self.sealed(node)? else { return Ok(()) };
        let id = self.import_ours(node, block)?;
        if C::CHOICE == Choice::Proof && node != 0 {
            let Some(life) = self.life(node) else { return Ok(()) };
            let reply = life.chain.prefer(id);
            self.ask(node, reply)?
                .map_err(|reject| format!("a stored block cannot be preferred: {reject}"))?;
        }
        Ok(())
    }

    /// Law L7: kills a process, or cuts the power, and starts again.
    fn crash(&mut self, node: usize) -> Result<(), String> {
        let Some(life) = self.life(node) else { return Ok(()) };
        let published = life.published().clone();
        let head = published.head().headers;
        let last_final = published.finalized();
        let power = self.random.percent(50);
        self.stop(node, power);
        let ms = self.random.below(20_000);
        self.run_for(ms)?;
        self.start(node)?;
        let Some(life) = self.life(node) else { return Err("a started node does not run".to_owned()) };
        let chain = life.chain.clone();
        let now = chain.published().head();
        if !power && now.headers.id() != head.id() && !now.headers.contains(&head) {
            return Err(format!("L7: a killed process came back at {:?}, not at {head:?}", now.headers));
        }
        if last_final.is_some_and(|done| !now.headers.contains(&done)) {
            return Err("L7: a final block was lost with the power".to_owned());
        }
        let model = self.model_at(node, &now.headers)?;
        model.compare(&now).map_err(|error| format!("L7: after a crash of node {node}: {error}"))
    }

    /// Law L12: the power fails at the moment a block has become the head, and a consumer has read all it could. Nothing it knows
    /// may be news to its node afterwards.
    fn power_cut_at_a_new_head(&mut self, node: usize) -> Result<(), String> {
        // Where proofs choose, a block becomes the head and final at once, and what is final is durable.
        if C::CHOICE == Choice::Proof {
            return Ok(());
        }
        let Some(block) = self.sealed(node)? else { return Ok(()) };
        self.begin_import(node, block);
        let Some(life) = self.life(node) else { return Ok(()) };
        let published = life.published().clone();
        let consumer = &mut self.nodes[node].consumer;
        while !consumer.follow(&published, 7)? {}
        consumer.save();
        self.stop(node, true);
        self.start(node)?;
        let Some(life) = self.life(node) else { return Err("a started node does not run".to_owned()) };
        let published = life.published().clone();
        self.nodes[node].consumer.follow(&published, 7).map(drop)
    }

    /// Law L8: a mutated body is refused and the honest one accepted afterwards.
    fn mutated_body(&mut self, node: usize) -> Result<(), String> {
        let node = Self::writer(node);
        let Some(honest) = self.sealed(node)? else { return Ok(()) };
        let mut random = self.random.fork();
        let Some(mutated) = self.cell.mutate(&honest, &mut random) else { return Ok(()) };
        if mutated.header().id() != honest.header().id() {
            return Err("the cell's mutation changes the id".to_owned());
        }
        let Some(life) = self.life(node) else { return Ok(()) };
        let reply = life.chain.import(mutated);
        match self.ask(node, reply)? {
            Err(Reject::Mutated(_)) => {}
            other => return Err(format!("L8: a mutated body got {other:?}")),
        }
        let id = self.import_ours(node, honest).map_err(|error| format!("L8: {error}"))?;
        if C::CHOICE == Choice::Proof { self.finalize(node, id) } else { Ok(()) }
    }

    /// Law L8: what breaks a rule is invalid for ever, and is no fault.
    fn corrupted_block(&mut self, node: usize) -> Result<(), String> {
        let Some(block) = self.sealed(node)? else { return Ok(()) };
        let Some(life) = self.life(node) else { return Ok(()) };
        let chain = life.chain.clone();
        let head = chain.published().head().headers;
        let model = self.model_at(node, &head)?;
        let Some(mut bad) = self.cell.corrupt(&block, &model) else { return Ok(()) };
        if !self.cell.consensus().seal(bad.header_mut(), &|| false) {
            return Err("the seal was not found".to_owned());
        }
        for _ in 0..2 {
            let reply = chain.import(bad.clone());
            let verdict = self.ask(node, reply)?;
            let waits = C::CHOICE == Choice::Proof && verdict.is_ok();
            if !waits && !matches!(verdict, Err(Reject::Invalid(_))) {
                return Err(format!("L8: a block that breaks a rule got {verdict:?}"));
            }
        }
        if chain.published().head().headers.id() != head.id() {
            return Err("L8: an invalid block moved the head".to_owned());
        }
        Ok(())
    }

    /// The adversary `time_traveller`: a block from the future is not yet acceptable, and later it is.
    fn time_traveller(&mut self, node: usize) -> Result<(), String> {
        let Some(mut block) = self.sealed(node)? else { return Ok(()) };
        self.cell.set_time(&mut block, Timestamp(self.now_ms / 1000 + 40_000));
        if !self.cell.consensus().seal(block.header_mut(), &|| false) {
            return Err("the seal was not found".to_owned());
        }
        let Some(life) = self.life(node) else { return Ok(()) };
        let chain = life.chain.clone();
        let reply = chain.import(block.clone());
        let verdict = self.ask(node, reply)?;
        if !matches!(verdict, Err(Reject::NotYet(_))) {
            return Err(format!("L8: a block from the future got {verdict:?}"));
        }
        match chain.published().block(&block.header().id()) {
            None => Ok(()),
            Some(_) => Err("L8: a block from the future was remembered".to_owned()),
        }
    }

    /// An operator takes blocks back and lets them count again.
    fn operator(&mut self, node: usize) -> Result<(), String> {
        let Some(life) = self.life(node) else { return Ok(()) };
        let chain = life.chain.clone();
        let Some((head, fallen)) = self.choose_fallen(node, 3)? else { return Ok(()) };
        let reply = chain.invalidate(fallen.id());
        self.ask(node, reply)?.map_err(|reject| format!("invalidating failed: {reject}"))?;
        if chain.published().head().headers.contains(&fallen) {
            return Err("the head still holds an invalidated block".to_owned());
        }
        let reply = chain.reconsider(fallen.id());
        self.ask(node, reply)?.map_err(|reject| format!("reconsidering failed: {reject}"))?;
        let now = chain.published().head().headers;
        if now.weight() < head.weight() {
            return Err("L2: reconsidering does not lead back".to_owned());
        }
        Ok(())
    }

    /// A node's head, and a block up to so many below it that may be taken back.
    fn choose_fallen(&mut self, node: usize, depth_max: u64) -> Result<Option<Pair<C>>, String> {
        self.settle(node)?;
        let Some(life) = self.life(node) else { return Ok(None) };
        let published = life.published().clone();
        let head = published.head().headers;
        let depth = 1 + self.random.below(depth_max) as usize;
        let is_final =
            |block: &Headers<C::Ledger>| published.finalized().is_some_and(|done| done.contains(block));
        let fallen = head.down().nth(depth).filter(|block| block.parent().is_some() && !is_final(block));
        Ok(fallen.map(|fallen| (head, fallen)))
    }

    /// Law L7 on a long way back: an operator takes many blocks back, and the node ends somewhere in between.
    fn crash_on_the_way_back(&mut self, node: usize) -> Result<(), String> {
        let Some((head, fallen)) = self.choose_fallen(node, 15)? else { return Ok(()) };
        let Some(life) = self.life(node) else { return Ok(()) };
        drop(life.chain.invalidate(fallen.id()));
        let messages = self.random.index(6);
        self.begin(node, messages);
        let power = self.random.percent(50);
        self.stop(node, power);
        self.start(node)?;
        let Some(life) = self.life(node) else { return Err("a started node does not run".to_owned()) };
        let chain = life.chain.clone();
        self.settle(node)?;
        let now = chain.published().head();
        if !power && messages > 0 && now.headers.contains(&fallen) {
            return Err("L7: a node that was killed forgot that a block is invalid".to_owned());
        }
        let model = self.model_at(node, &now.headers)?;
        model.compare(&now).map_err(|error| format!("L7: after a crash on the way back: {error}"))?;
        let reply = chain.reconsider(fallen.id());
        match self.ask(node, reply)? {
            Ok(()) => {}
            Err(Reject::MissingParent(_)) if power => return Ok(()),
            Err(reject) => return Err(format!("reconsidering failed: {reject}")),
        }
        if !power && chain.published().head().headers.weight() < head.weight() {
            return Err("L7: reconsidering does not lead back after a crash".to_owned());
        }
        Ok(())
    }

    fn restart_all(&mut self) -> Result<(), String> {
        for node in 0..NODES {
            if self.life(node).is_none() {
                self.start(node)?;
            }
        }
        Ok(())
    }

    /// With all links up and one more block, all nodes end at one head.
    fn agree(&mut self) -> Result<(), String> {
        self.restart_all()?;
        self.partition(|_| false);
        self.run_for(60_000)?;
        let head = |world: &Self, node: usize| world.life(node).map(|life| life.published().head().headers);
        let heaviest = (0..NODES).max_by_key(|&node| head(self, node).map(|head| head.weight()));
        self.write_block(heaviest.unwrap_or(0))?;
        let deadline = self.now_ms + AGREEMENT_MS;
        loop {
            self.run_for(5_000)?;
            let ids: Vec<_> = (0..NODES).map(|node| head(self, node).map(|head| head.id())).collect();
            if ids.iter().all(|id| *id == ids[0]) {
                return Ok(());
            }
            if self.now_ms > deadline {
                let lives = (0..NODES).filter_map(|node| self.life(node));
                let stand: Vec<_> = lives.map(crate::node::Life::describe).collect();
                return Err(format!("the nodes do not agree after half an hour: {}", stand.join("; ")));
            }
        }
    }
}
