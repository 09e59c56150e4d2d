//! The laws that are asked when everything is quiet.

use std::collections::BTreeMap;

use chainwright_chain::{
    Block, BlockId, Codec as _, Fault, Header, Headers, Imported, Ledger, Pool, Published, StateView,
    TableId, View,
};
use chainwright_store::SimulatedDisk;

use crate::cell::Choice;
use crate::node::Life;
use crate::world::World;
use crate::{Cell, Model, Random};

/// What building and checking must not change.
pub(crate) fn fingerprint<L: Ledger>(published: &Published<L>) -> (BlockId, usize, usize, BlockId) {
    let head = published.head().headers.id();
    (head, published.tips().len(), published.pool().len(), published.best_header().id())
}

type Rows = BTreeMap<(TableId, Vec<u8>), Vec<u8>>;

/// Every row of a state.
fn rows(state: &StateView) -> Result<Rows, Fault> {
    let mut rows = Rows::new();
    for table in 0..state.tables().len() as u8 {
        state.scan(TableId(table), &mut |key, value| {
            rows.insert((TableId(table), key.to_vec()), value.to_vec());
            Ok(())
        })?;
    }
    Ok(rows)
}

fn all_rows<L: Ledger>(view: &View<L>) -> Result<Rows, String> {
    rows(&view.state).map_err(|fault| format!("rows cannot be listed: {fault}"))
}

/// L1, L2, L3, L10 and L12 on the chain a node has ended with.
pub(crate) fn check_at_rest<C: Cell>(world: &mut World<C>, node: usize) -> Result<(), String> {
    world.settle(node)?;
    let Some(life) = world.life(node) else { return Err("the node does not run".to_owned()) };
    life.chain.expire_pool();
    let published = life.published().clone();
    world.settle(node)?;
    let view = published.head();
    let model = world.model_at(node, &view.headers)?;
    model.compare(&view).map_err(|error| format!("L2: node {node}: {error}"))?;
    let now = all_rows(&view)?;
    check_consumer(world, node, &published, &now)?;
    check_deltas(&published, &view, &now)?;
    if node == 0 {
        check_replay(world, &published, &view, &now)?;
    }
    check_damage(world, node, &view.headers)?;
    check_undo(world, node, &view, &now)
}

/// Law L12.
fn check_consumer<C: Cell>(
    world: &mut World<C>,
    node: usize,
    published: &Published<C::Ledger>,
    now: &Rows,
) -> Result<(), String> {
    let consumer = &mut world.nodes[node].consumer;
    while !consumer.follow(published, 7)? {}
    let same = consumer
        .rows()
        .all(|(table, key, value)| now.get(&(table, key.to_vec())).is_some_and(|row| row == value));
    if same && consumer.row_count() == now.len() {
        return Ok(());
    }
    Err(format!(
        "L12: the consumer of node {node} has {} rows, the chain {}",
        consumer.row_count(),
        now.len()
    ))
}

/// Law L1 on the journal: from the head back to nothing and forth again, byte for byte.
fn check_deltas<L: Ledger>(published: &Published<L>, view: &View<L>, now: &Rows) -> Result<(), String> {
    let mut state = now.clone();
    let mut deltas = Vec::new();
    for block in view.headers.down() {
        let connected = published.bodies().connected(&block.id()).map_err(|fault| fault.to_string())?;
        deltas.push(connected.ok_or_else(|| format!("the journal lacks block {}", block.height()))?.delta);
    }
    for delta in &deltas {
        step(&mut state, &delta.inverse())?;
    }
    if !state.is_empty() {
        return Err(format!("L1: {} rows are left below genesis", state.len()));
    }
    for delta in deltas.iter().rev() {
        step(&mut state, delta)?;
    }
    if state == *now { Ok(()) } else { Err("L1: there and back again is somewhere else".to_owned()) }
}

fn step(state: &mut Rows, delta: &chainwright_chain::Delta) -> Result<(), String> {
    for change in delta.iter() {
        let key = (change.table, change.key.to_vec());
        let before = match change.new {
            Some(new) => state.insert(key, new.to_vec()),
            None => state.remove(&key),
        };
        if before.as_deref() != change.old {
            return Err("L1: a delta's old value is not what was there".to_owned());
        }
    }
    Ok(())
}

/// Laws L3 and L10: the same blocks from genesis on a fresh node, in two orders of workers, give the same state.
fn check_replay<C: Cell>(
    world: &mut World<C>,
    published: &Published<C::Ledger>,
    view: &View<C::Ledger>,
    now: &Rows,
) -> Result<(), String> {
    let mut chain: Vec<Headers<C::Ledger>> = view.headers.down().collect();
    chain.reverse();
    for order in 0..2 {
        let disk = SimulatedDisk::new(order);
        let mut random = Random::new(order);
        let mut life =
            Life::start(&world.cell, &disk, order, world.now_ms).map_err(|fault| fault.to_string())?;
        let mut replies = Vec::new();
        for block in &chain[1..] {
            let body = published.read_block(&block.id()).map_err(|fault| fault.to_string())?;
            let body = body.ok_or_else(|| "a block of the chain has no body".to_owned())?;
            // Header first: bodies may then be prepared in any order.
            replies.push((body.header().id(), life.chain.import(body)));
            if random.percent(30) {
                drop(life.turn(&mut random, 50, world.now_ms));
            }
        }
        drop(life.settle(&mut random, world.now_ms));
        for (id, mut reply) in replies {
            match reply.take() {
                Some(Ok(Imported::Valid | Imported::Stored)) => {}
                other => return Err(format!("L3: block {id} of the chain got {other:?} on a fresh node")),
            }
        }
        if C::CHOICE == Choice::Proof {
            let mut reply = life.chain.prefer(view.headers.id());
            drop(life.settle(&mut random, world.now_ms));
            reply.take().ok_or("L3: no answer")?.map_err(|reject| format!("L3: {reject}"))?;
        }
        let fresh = life.published().head();
        if fresh.headers.id() != view.headers.id() || all_rows(&fresh)? != *now {
            return Err(format!("L3: replay ends at {:?}, not at {:?}", fresh.headers, view.headers));
        }
    }
    Ok(())
}

/// Law L8 for what the disk spoils: a flipped byte in a stored block is our fault, changes nothing, and heals with another copy.
fn check_damage<C: Cell>(world: &mut World<C>, node: usize, head: &Headers<C::Ledger>) -> Result<(), String> {
    let below = world.random.below(u64::from(head.height().0)) as u32;
    let Some(block) = head.ancestor(chainwright_chain::Height(1 + below)) else { return Ok(()) };
    let id = block.id();
    let other = (node + 1) % world.nodes.len();
    let copy = world.body(other, &id).map_err(|fault| fault.to_string())?;
    world.flip_in_body(node, &copy.to_bytes())?;
    let Some(life) = world.life(node) else { return Ok(()) };
    let chain = life.chain.clone();
    let published = chain.published();
    if published.read_block(&id).is_ok() {
        return Err(format!("L8: a flipped byte in block {id} went unseen"));
    }
    chain.expire_pool();
    world.settle(node)?;
    if published.missing_bodies() != [id] || !published.wants_body(&id) {
        return Err(format!("L8: damaged block {id} is not asked for: {:?}", published.missing_bodies()));
    }
    let mut reply = chain.import(copy);
    world.settle(node)?;
    if reply.take() != Some(Ok(Imported::Valid)) || !published.missing_bodies().is_empty() {
        return Err(format!("L8: damaged block {id} was not healed"));
    }
    match published.read_block(&id) {
        Ok(Some(healed)) if healed.header().id() == id && published.head().headers.id() == head.id() => {
            Ok(())
        }
        _ => Err(format!("L8: block {id} cannot be read after it was healed")),
    }
}

/// Laws L1 and L2 in the driver: back to the last final block (or genesis) and forth again.
fn check_undo<C: Cell>(
    world: &mut World<C>,
    node: usize,
    view: &View<C::Ledger>,
    now: &Rows,
) -> Result<(), String> {
    let Some(life) = world.life(node) else { return Ok(()) };
    let chain = life.chain.clone();
    let floor = chain.published().finalized().map_or(0, |block| block.height().0);
    let Some(first) = view.headers.ancestor(chainwright_chain::Height(floor + 1)) else { return Ok(()) };
    let mut reply = chain.invalidate(first.id());
    world.settle(node)?;
    reply.take().ok_or("L1: no answer")?.map_err(|reject| format!("L1: {reject}"))?;
    let back = chain.published().head();
    if back.headers.contains(&first) {
        return Err("L1: the head still holds an invalidated block".to_owned());
    }
    let model = world.model_at(node, &back.headers)?;
    model.compare(&back).map_err(|error| format!("L1: back at {}: {error}", back.headers.height()))?;
    let mut reply = chain.reconsider(first.id());
    world.settle(node)?;
    reply.take().ok_or("L2: no answer")?.map_err(|reject| format!("L2: {reject}"))?;
    let again = chain.published().head();
    if again.headers.weight() != view.headers.weight() {
        return Err(format!("L2: ended at {:?} instead of {:?}", again.headers, view.headers));
    }
    if again.headers.id() == view.headers.id() && all_rows(&again)? != *now {
        return Err("L2: the same head has another state".to_owned());
    }
    Ok(())
}
