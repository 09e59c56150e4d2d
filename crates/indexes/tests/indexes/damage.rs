//! What is damaged is built again.

use std::path::Path;

use chainwright_indexes::{Indexes, Kind};

use super::folder;
use super::naive::{ALL, Growing, Random, follow, open};
use super::support::Slots;

/// A chain with its indexes built, and closed again.
fn built(seed: u64, root: &Path) -> Growing {
    let mut growing = Growing::new(seed);
    (0..100).for_each(|_| growing.grow());
    let indexes = open(&growing.bench, root, ALL);
    follow(&indexes, &mut Random(seed));
    growing
}

#[track_caller]
fn is_whole(growing: &mut Growing, indexes: &Indexes<Slots>) {
    follow(indexes, &mut Random(2));
    let height = growing.height();
    growing.check(indexes, height, 0);
}

#[test]
fn flipped_and_missing_bytes_are_noticed_and_everything_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("indexes");
    let mut growing = built(3, &root);
    let whole = folder.path().join("whole");
    folder::copy(&root, &whole);
    for attempt in 0..32 {
        std::fs::remove_dir_all(&root).unwrap();
        folder::copy(&whole, &root);
        let files: Vec<_> =
            folder::files(&root, "").into_iter().filter(|file| !file.ends_with("lock")).collect();
        let file = &files[growing.random.below(files.len() as u64) as usize];
        let mut bytes = std::fs::read(file).unwrap();
        if attempt % 4 == 0 || bytes.is_empty() {
            std::fs::remove_file(file).unwrap();
        } else {
            let at = growing.random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << growing.random.below(8);
            std::fs::write(file, bytes).unwrap();
        }
        let indexes = open(&growing.bench, &root, ALL);
        is_whole(&mut growing, &indexes);
    }
}

#[test]
fn indexes_of_another_chain_are_given_up() {
    let folder = tempfile::tempdir().unwrap();
    drop(built(4, folder.path()));
    // The same first block, but none of the others.
    let mut growing = Growing::new(400);
    (0..20).for_each(|_| growing.grow());
    let indexes = open(&growing.bench, folder.path(), ALL);
    is_whole(&mut growing, &indexes);
    assert_eq!(indexes.cursor(Kind::Items).unwrap().map(|cursor| cursor.height.0), Some(growing.height()));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "what was given up is gone");
}
