//! The indexes say what a full pass over the chain says, whatever happened on the way.

use std::path::Path;

use chainwright_indexes::{Indexes, Kind};

use super::folder;
use super::naive::{ALL, Growing, Random, follow, open, shared};
use super::support::Slots;

/// What may befall an index between two blocks.
fn befall(growing: &mut Growing, indexes: Indexes<Slots>, root: &Path, saved: &Path) -> Indexes<Slots> {
    match growing.random.below(12) {
        0 => {
            // The process dies; what was written stays.
            drop(indexes);
            open(&growing.bench, root, ALL)
        }
        1 => {
            // The machine dies: what was there at some earlier moment is there again.
            if saved.exists() {
                drop(indexes);
                std::fs::remove_dir_all(root).unwrap();
                folder::copy(saved, root);
                return open(&growing.bench, root, ALL);
            }
            indexes
        }
        2 => {
            let _ = std::fs::remove_dir_all(saved);
            folder::copy(root, saved);
            indexes
        }
        3 => {
            // A write that was never finished.
            drop(indexes);
            let journals = folder::files(root, ".jnl");
            folder::tear(journals.last().unwrap(), 1 + growing.random.below(200) as usize);
            open(&growing.bench, root, ALL)
        }
        _ => indexes,
    }
}

fn run(seed: u64, blocks: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (root, saved) = (folder.path().join("indexes"), folder.path().join("saved"));
    let mut growing = Growing::new(seed);
    let mut indexes = open(&growing.bench, &root, ALL);
    for _ in 0..blocks {
        growing.grow();
        indexes = befall(&mut growing, indexes, &root, &saved);
        let mut pace = Random(growing.random.below(u64::from(u32::MAX)));
        match pace.below(4) {
            // It lags behind, and says how far it has come.
            0 => {
                let _ = indexes.follow(1).unwrap();
                if indexes.cursor(Kind::History).unwrap().is_some() {
                    let at = shared(&indexes, &growing, Kind::History);
                    growing.check(&indexes, at, 0);
                }
            }
            1 => {
                follow(&indexes, &mut pace);
                let height = growing.height();
                growing.check(&indexes, height, 0);
            }
            _ => {}
        }
    }
    follow(&indexes, &mut Random(seed));
    let height = growing.height();
    growing.check(&indexes, height, 0);
}

#[test]
fn indexes_are_what_a_full_pass_says_through_reorganisations_and_crashes() {
    for seed in 1..=6 {
        run(seed, 80);
    }
}

#[test]
fn what_follows_step_by_step_is_what_is_built_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut growing = Growing::new(77);
    (0..200).for_each(|_| growing.grow());
    let indexes = open(&growing.bench, folder.path(), ALL);
    while !indexes.follow(64).unwrap() {}
    let height = growing.height();
    growing.check(&indexes, height, 0);
}
