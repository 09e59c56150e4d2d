//! Clusters, mining order and replacement diagrams of the graph of waiting transactions.

use std::cmp::Ordering;

use hashbrown::HashSet;

use super::{FeeRate, Graph, Joining, compare_diagrams};
use crate::hash::Txid;

fn id(number: u8) -> Txid {
    Txid([number; 32])
}

fn add(graph: &mut Graph, number: u8, fee: i64, parents: &[u8]) {
    graph.insert(Joining {
        txid: id(number),
        rate: FeeRate { fee, weight: 400 },
        parents: parents.iter().copied().map(id).collect(),
        children: Vec::new(),
    });
}

fn mining_order(graph: &Graph) -> Vec<u8> {
    graph.best_first().flat_map(|(_, chunk)| &chunk.txids).map(|txid| txid.0[0]).collect()
}

#[test]
fn a_child_pays_for_its_parent() {
    let mut graph = Graph::default();
    add(&mut graph, 1, 100, &[]);
    add(&mut graph, 2, 500, &[]);
    add(&mut graph, 3, 2000, &[1]);
    assert_eq!(mining_order(&graph), [1, 3, 2]);
    assert_eq!(graph.worst().map(|chunk| chunk.txids.clone()), Some(vec![id(2)]));
    assert_eq!(graph.cluster_count(&[id(1), id(3), id(2)]), 2);
}

#[test]
fn a_poor_child_waits_alone() {
    let mut graph = Graph::default();
    add(&mut graph, 1, 1000, &[]);
    add(&mut graph, 2, 100, &[1]);
    add(&mut graph, 3, 500, &[]);
    assert_eq!(mining_order(&graph), [1, 3, 2]);
}

#[test]
fn removing_the_middle_splits_a_cluster() {
    let mut graph = Graph::default();
    add(&mut graph, 1, 300, &[]);
    add(&mut graph, 2, 200, &[1]);
    add(&mut graph, 3, 100, &[2]);
    graph.remove(&[id(2)]);
    assert_eq!(graph.cluster_count(&[id(1), id(3)]), 2);
    assert!(graph.parents(&id(3)).is_empty() && graph.children(&id(1)).is_empty());
    graph.remove(&[id(1), id(3)]);
    assert!(graph.worst().is_none());
}

#[test]
fn relatives_are_found_once() {
    let mut graph = Graph::default();
    add(&mut graph, 1, 1, &[]);
    add(&mut graph, 2, 1, &[1]);
    add(&mut graph, 3, 1, &[1]);
    add(&mut graph, 4, 1, &[2, 3]);
    assert_eq!(graph.ancestors(&[id(4)]).len(), 4);
    assert_eq!(graph.descendants(&[id(1)]).len(), 4);
}

#[test]
fn diagrams_compare_at_every_size() {
    let rate = |fee, weight| FeeRate { fee, weight };
    assert_eq!(compare_diagrams(&[rate(10, 1)], &[rate(9, 1)]), Some(Ordering::Greater));
    assert_eq!(compare_diagrams(&[rate(10, 2)], &[rate(10, 2)]), Some(Ordering::Equal));
    // More in all, less at first.
    assert_eq!(compare_diagrams(&[rate(20, 10)], &[rate(10, 1)]), None);
    assert_eq!(compare_diagrams(&[], &[rate(1, 1)]), Some(Ordering::Less));
}

#[test]
fn a_replacement_has_to_improve_the_diagram() {
    let mut graph = Graph::default();
    add(&mut graph, 1, 1000, &[]);
    let removed: HashSet<Txid> = [id(1)].into_iter().collect();
    let joining = |fee, weight| Joining {
        txid: id(9),
        rate: FeeRate { fee, weight },
        parents: Vec::new(),
        children: Vec::new(),
    };
    assert!(graph.preview(&joining(1001, 400), &removed).is_improvement());
    assert!(!graph.preview(&joining(1001, 800), &removed).is_improvement());
    assert!(!graph.preview(&joining(1000, 400), &removed).is_improvement());
}
