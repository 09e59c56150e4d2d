//! Who spends whom in the pool, and in which order everything would be mined.
//!
//! Transactions that are connected form a cluster. Each cluster is kept in a mining order cut into *chunks*: groups
//! that are best mined together, with falling fee rates. The best chunks of all clusters make the next block, the worst is
//! the first to go when space runs out, and a replacement is good if it makes the chunks better (Bitcoin Core
//! `txgraph.cpp`; the order is found by ancestor fee rate, as Core did before it).
//!
//! Invariant: no cluster has more than [`CLUSTER_COUNT_MAX`] transactions, so all work per change is bounded.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};

use crate::hash::Txid;

/// The most transactions a cluster may ever have.
pub(crate) const CLUSTER_COUNT_MAX: usize = 64;

/// A fee and the weight it is paid for, ordered by their ratio.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FeeRate {
    pub(crate) fee: i64,
    pub(crate) weight: i64,
}

impl FeeRate {
    fn plus(self, other: Self) -> Self {
        Self { fee: self.fee + other.fee, weight: self.weight + other.weight }
    }
}

impl PartialEq for FeeRate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for FeeRate {}

impl PartialOrd for FeeRate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FeeRate {
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |fee: i64, weight: i64| i128::from(fee) * i128::from(weight);
        cross(self.fee, other.weight).cmp(&cross(other.fee, self.weight))
    }
}

/// A transaction that wants to join.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    pub(crate) txid: Txid,
    pub(crate) rate: FeeRate,
    /// Transactions of the pool that it spends, each once.
    pub(crate) parents: Vec<Txid>,
    /// Transactions of the pool that spend it, each once.
    pub(crate) children: Vec<Txid>,
}

#[derive(Clone, Debug)]
struct Node {
    rate: FeeRate,
    parents: Vec<Txid>,
    children: Vec<Txid>,
    cluster: u64,
}

/// Transactions best mined together, parents first.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) rate: FeeRate,
    pub(crate) txids: Vec<Txid>,
}

/// What the pool would be like with a transaction and without others.
#[derive(Debug)]
pub(crate) struct Preview {
    /// Transactions of the new cluster.
    pub(crate) count: usize,
    /// Their weight.
    pub(crate) weight: i64,
    /// Chunk rates of all clusters concerned, as they are.
    before: Vec<FeeRate>,
    /// Chunk rates of what they become; empty if the new cluster is too large to say.
    after: Vec<FeeRate>,
}

/// Lowest rate first; within a cluster the last chunk first.
type ChunkKey = (FeeRate, Reverse<u64>, Reverse<usize>);

/// All clusters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    nodes: HashMap<Txid, Node>,
    clusters: HashMap<u64, Vec<Chunk>>,
    order: BTreeSet<ChunkKey>,
    next_cluster: u64,
}

impl Graph {
    /// Adds a transaction. The cluster it makes must be within the limit: see [`Graph::preview`].
    pub(crate) fn insert(&mut self, joining: Joining) {
        let Joining { txid, rate, parents, children } = joining;
        let mut members = vec![txid];
        for neighbour in parents.iter().chain(&children) {
            members.extend(self.dissolve_cluster_of(neighbour));
        }
        for parent in &parents {
            if let Some(node) = self.nodes.get_mut(parent) {
                node.children.push(txid);
            }
        }
        for child in &children {
            if let Some(node) = self.nodes.get_mut(child) {
                node.parents.push(txid);
            }
        }
        self.nodes.insert(txid, Node { rate, parents, children, cluster: 0 });
        self.form_clusters(members);
    }

    /// Removes these transactions, and nothing else.
    pub(crate) fn remove(&mut self, txids: &[Txid]) {
        let mut members = Vec::new();
        for txid in txids {
            members.extend(self.dissolve_cluster_of(txid));
        }
        for txid in txids {
            let Some(node) = self.nodes.remove(txid) else { continue };
            for parent in node.parents {
                if let Some(parent) = self.nodes.get_mut(&parent) {
                    parent.children.retain(|child| child != txid);
                }
            }
            for child in node.children {
                if let Some(child) = self.nodes.get_mut(&child) {
                    child.parents.retain(|parent| parent != txid);
                }
            }
        }
        members.retain(|member| self.nodes.contains_key(member));
        self.form_clusters(members);
    }

    /// Transactions of the pool that this one spends.
    pub(crate) fn parents(&self, txid: &Txid) -> &[Txid] {
        self.nodes.get(txid).map_or(&[], |node| &node.parents)
    }

    /// Transactions of the pool that spend this one.
    pub(crate) fn children(&self, txid: &Txid) -> &[Txid] {
        self.nodes.get(txid).map_or(&[], |node| &node.children)
    }

    /// These transactions and everything they need, in no order.
    pub(crate) fn ancestors(&self, from: &[Txid]) -> Vec<Txid> {
        self.closure(from, |graph, txid| graph.parents(txid))
    }

    /// These transactions and everything that needs them, in no order.
    pub(crate) fn descendants(&self, from: &[Txid]) -> Vec<Txid> {
        self.closure(from, |graph, txid| graph.children(txid))
    }

    fn closure(&self, from: &[Txid], next: impl for<'g> Fn(&'g Self, &Txid) -> &'g [Txid]) -> Vec<Txid> {
        let mut seen = HashSet::new();
        let mut found: Vec<Txid> = from.iter().copied().filter(|txid| seen.insert(*txid)).collect();
        let mut at = 0;
        while let Some(&txid) = found.get(at) {
            found.extend(next(self, &txid).iter().copied().filter(|other| seen.insert(*other)));
            at += 1;
        }
        found
    }

    /// In how many clusters these transactions are.
    pub(crate) fn cluster_count<'t>(&self, txids: impl IntoIterator<Item = &'t Txid>) -> usize {
        let clusters: HashSet<u64> =
            txids.into_iter().filter_map(|txid| self.nodes.get(txid)).map(|node| node.cluster).collect();
        clusters.len()
    }

    /// The chunks, best first, each with its cluster: a chunk may need earlier ones of the same cluster.
    pub(crate) fn best_first(&self) -> impl Iterator<Item = (u64, &Chunk)> {
        self.order.iter().rev().filter_map(|(_, cluster, index)| {
            self.clusters
                .get(&cluster.0)
                .and_then(|chunks| chunks.get(index.0))
                .map(|chunk| (cluster.0, chunk))
        })
    }

    /// The chunk that would be mined last. Nothing outside it needs it.
    pub(crate) fn worst(&self) -> Option<&Chunk> {
        let (_, cluster, index) = self.order.first()?;
        self.clusters.get(&cluster.0)?.get(index.0)
    }

    /// The chunk that a transaction would be mined with.
    pub(crate) fn chunk_of(&self, txid: &Txid) -> Option<&Chunk> {
        let cluster = self.clusters.get(&self.nodes.get(txid)?.cluster)?;
        cluster.iter().find(|chunk| chunk.txids.contains(txid))
    }

    /// What `joining` in place of `removed` would do.
    pub(crate) fn preview(&self, joining: &Joining, removed: &HashSet<Txid>) -> Preview {
        let neighbours = joining.parents.iter().chain(&joining.children).chain(removed.iter());
        let clusters: BTreeSet<u64> =
            neighbours.filter_map(|txid| self.nodes.get(txid)).map(|node| node.cluster).collect();
        let chunks = || clusters.iter().filter_map(|cluster| self.clusters.get(cluster)).flatten();
        let before = chunks().map(|chunk| chunk.rate).collect();
        let mut rest: Shapes = chunks()
            .flat_map(|chunk| &chunk.txids)
            .filter(|txid| !removed.contains(*txid))
            .map(|txid| (*txid, self.shape(txid, removed)))
            .collect();
        for child in &joining.children {
            if let Some(shape) = rest.get_mut(child) {
                shape.parents.push(joining.txid);
            }
        }
        rest.insert(joining.txid, Shape { rate: joining.rate, parents: joining.parents.clone() });
        let mut preview = Preview { count: 0, weight: 0, before, after: Vec::new() };
        for component in components(&rest) {
            if component.contains(&joining.txid) {
                preview.count = component.len();
                preview.weight = component.iter().map(|txid| rest[txid].rate.weight).sum();
            }
            if component.len() <= CLUSTER_COUNT_MAX {
                preview.after.extend(linearize(&component, &rest).iter().map(|chunk| chunk.rate));
            }
        }
        preview
    }

    fn shape(&self, txid: &Txid, without: &HashSet<Txid>) -> Shape {
        let node = &self.nodes[txid];
        let parents = node.parents.iter().filter(|parent| !without.contains(*parent)).copied().collect();
        Shape { rate: node.rate, parents }
    }

    /// Forgets the cluster of a transaction; returns who was in it.
    fn dissolve_cluster_of(&mut self, txid: &Txid) -> Vec<Txid> {
        let Some(cluster) = self.nodes.get(txid).map(|node| node.cluster) else { return Vec::new() };
        let Some(chunks) = self.clusters.remove(&cluster) else { return Vec::new() };
        for (index, chunk) in chunks.iter().enumerate() {
            self.order.remove(&(chunk.rate, Reverse(cluster), Reverse(index)));
        }
        chunks.into_iter().flat_map(|chunk| chunk.txids).collect()
    }

    /// Makes clusters of transactions that belong to none.
    fn form_clusters(&mut self, members: Vec<Txid>) {
        let none = HashSet::new();
        let shapes: Shapes = members.iter().map(|txid| (*txid, self.shape(txid, &none))).collect();
        for component in components(&shapes) {
            let cluster = self.next_cluster;
            self.next_cluster += 1;
            let chunks = linearize(&component, &shapes);
            for (index, chunk) in chunks.iter().enumerate() {
                self.order.insert((chunk.rate, Reverse(cluster), Reverse(index)));
            }
            for txid in &component {
                if let Some(node) = self.nodes.get_mut(txid) {
                    node.cluster = cluster;
                }
            }
            self.clusters.insert(cluster, chunks);
        }
    }
}

impl Preview {
    /// Whether the chunks are better for a miner at every size of block and somewhere really so (Bitcoin Core
    /// `ImprovesFeerateDiagram`).
    pub(crate) fn is_improvement(&self) -> bool {
        compare_diagrams(&self.after, &self.before) == Some(Ordering::Greater)
    }
}

/// A transaction as far as its cluster's order is concerned.
#[derive(Clone, Debug)]
struct Shape {
    rate: FeeRate,
    parents: Vec<Txid>,
}

/// Ordered, so that equal pools give equal blocks.
type Shapes = BTreeMap<Txid, Shape>;

/// Groups of connected transactions.
fn components(shapes: &Shapes) -> Vec<Vec<Txid>> {
    let mut neighbours: HashMap<Txid, Vec<Txid>> = HashMap::new();
    for (txid, shape) in shapes {
        for parent in shape.parents.iter().filter(|parent| shapes.contains_key(*parent)) {
            neighbours.entry(*txid).or_default().push(*parent);
            neighbours.entry(*parent).or_default().push(*txid);
        }
    }
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for start in shapes.keys() {
        if !seen.insert(*start) {
            continue;
        }
        let mut component = vec![*start];
        let mut at = 0;
        while let Some(txid) = component.get(at) {
            let next = neighbours.get(txid).map(Vec::as_slice).unwrap_or_default();
            component.extend(next.iter().copied().filter(|other| seen.insert(*other)));
            at += 1;
        }
        component.sort_unstable();
        found.push(component);
    }
    found
}

/// Orders at most [`CLUSTER_COUNT_MAX`] transactions by ancestor fee rate and cuts the order into chunks.
fn linearize(component: &[Txid], shapes: &Shapes) -> Vec<Chunk> {
    debug_assert!(component.len() <= CLUSTER_COUNT_MAX, "sets are 64 bits wide");
    let rates: Vec<FeeRate> = component.iter().map(|txid| shapes[txid].rate).collect();
    let ancestors = ancestor_sets(component, shapes);
    let mut left: u64 = if component.len() >= 64 { u64::MAX } else { (1 << component.len()) - 1 };
    let mut chunks: Vec<Chunk> = Vec::new();
    while left != 0 {
        let best = bits(left)
            .map(|index| ancestors[index] & left)
            .max_by(|a, b| {
                sum(*a, &rates).cmp(&sum(*b, &rates)).then_with(|| b.count_ones().cmp(&a.count_ones()))
            })
            .unwrap_or(left);
        left &= !best;
        let mut group: Vec<usize> = bits(best).collect();
        // An ancestor has fewer ancestors than its descendants.
        group.sort_by_key(|&index| (ancestors[index].count_ones(), index));
        for index in group {
            push_chunk(&mut chunks, Chunk { rate: rates[index], txids: vec![component[index]] });
        }
    }
    chunks
}

/// Appends a chunk, joined with those before as long as that makes them better.
fn push_chunk(chunks: &mut Vec<Chunk>, mut chunk: Chunk) {
    while let Some(last) = chunks.pop_if(|last| last.rate < chunk.rate) {
        let mut txids = last.txids;
        txids.append(&mut chunk.txids);
        chunk = Chunk { rate: last.rate.plus(chunk.rate), txids };
    }
    chunks.push(chunk);
}

/// For each transaction the set of its ancestors, itself included.
fn ancestor_sets(component: &[Txid], shapes: &Shapes) -> Vec<u64> {
    let index_of = |txid: &Txid| component.binary_search(txid).ok();
    let parents: Vec<u64> = component
        .iter()
        .map(|txid| shapes[txid].parents.iter().filter_map(index_of).fold(0, |set, index| set | 1 << index))
        .collect();
    let mut sets: Vec<u64> = (0..component.len()).map(|index| 1 << index).collect();
    loop {
        let mut changed = false;
        for index in 0..sets.len() {
            let grown = bits(parents[index]).fold(sets[index], |set, parent| set | sets[parent]);
            changed |= grown != sets[index];
            sets[index] = grown;
        }
        if !changed {
            return sets;
        }
    }
}

fn sum(set: u64, rates: &[FeeRate]) -> FeeRate {
    bits(set).fold(FeeRate::default(), |total, index| total.plus(rates[index]))
}

fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let index = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(index)
    })
}

/// Compares what two sets of chunks pay a miner at every size; nothing when each is better somewhere (Bitcoin Core
/// `CompareChunks`).
fn compare_diagrams(left: &[FeeRate], right: &[FeeRate]) -> Option<Ordering> {
    let (left, right) = (corners(left), corners(right));
    let above =
        |a: &[FeeRate], b: &[FeeRate]| b.iter().any(|corner| exceeds(a, *corner) == Ordering::Greater);
    let below = |a: &[FeeRate], b: &[FeeRate]| b.iter().any(|corner| exceeds(a, *corner) == Ordering::Less);
    // Between corners both are straight, so the extremes of their difference lie at corners.
    let better = above(&left, &right) || below(&right, &left);
    let worse = below(&left, &right) || above(&right, &left);
    match (better, worse) {
        (true, true) => None,
        (true, false) => Some(Ordering::Greater),
        (false, true) => Some(Ordering::Less),
        (false, false) => Some(Ordering::Equal),
    }
}

/// Cumulative fee and weight after each chunk, best first.
fn corners(rates: &[FeeRate]) -> Vec<FeeRate> {
    let mut sorted = rates.to_vec();
    sorted.sort_by(|a, b| b.cmp(a));
    let mut total = FeeRate::default();
    sorted
        .into_iter()
        .map(|rate| {
            total = total.plus(rate);
            total
        })
        .collect()
}

/// How the line through `corners` (flat after the last) compares with a point.
fn exceeds(corners: &[FeeRate], point: FeeRate) -> Ordering {
    let mut previous = FeeRate::default();
    for corner in corners {
        if corner.weight >= point.weight {
            let (rise, run) = (corner.fee - previous.fee, corner.weight - previous.weight);
            let line = i128::from(previous.fee) * i128::from(run)
                + i128::from(rise) * i128::from(point.weight - previous.weight);
            return line.cmp(&(i128::from(point.fee) * i128::from(run)));
        }
        previous = *corner;
    }
    previous.fee.cmp(&point.fee)
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
