//! Which indexes are kept, and how much of the past.

use chainwright_chain::{Height, Published};
use chainwright_indexes::{Follower, IndexError, Kind, Options, States};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::naive::{ALL, Growing, Random, follow, open};
use super::support::Slots;

const fn last(blocks: u32) -> Options {
    Options { items: true, tags: true, history: Some(States::Last(blocks)) }
}

#[test]
fn old_states_go_and_newer_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut growing = Growing::new(5);
    let indexes = open(&growing.bench, folder.path(), last(20));
    let (mut pace, mut highest) = (Random(9), 0);
    for _ in 0..120 {
        growing.grow();
        follow(&indexes, &mut pace);
        let height = growing.height();
        // What was dropped does not come back when a shorter branch takes over.
        highest = highest.max(height);
        let oldest = indexes.oldest_state().unwrap().0;
        assert_eq!(oldest, highest.saturating_sub(20));
        growing.check(&indexes, height, oldest);
    }
    let oldest = indexes.oldest_state().unwrap();
    assert!(oldest > Height(20));
    let older = growing.head().ancestor(Height(oldest.0 - 1)).unwrap();
    let refused = IndexError::TooOld { asked: older.height(), oldest };
    assert_eq!(indexes.view(&older).err(), Some(refused));
}

#[test]
fn a_short_history_of_a_long_chain_begins_where_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let mut growing = Growing::new(6);
    (0..150).for_each(|_| growing.grow());
    let indexes = open(&growing.bench, folder.path(), last(30));
    follow(&indexes, &mut Random(1));
    let height = growing.height();
    assert_eq!(indexes.oldest_state().unwrap(), Height(height - 30));
    growing.check(&indexes, height, height - 30);
}

#[test]
fn more_history_is_built_and_less_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut growing = Growing::new(7);
    (0..100).for_each(|_| growing.grow());
    for (options, oldest) in [(last(10), 10), (ALL, 1000), (last(40), 40), (ALL, 1000)] {
        let indexes = open(&growing.bench, folder.path(), options);
        follow(&indexes, &mut Random(1));
        let height = growing.height();
        let oldest = height.saturating_sub(oldest);
        assert_eq!(indexes.oldest_state().unwrap(), Height(oldest));
        growing.check(&indexes, height, oldest);
    }
}

#[test]
fn an_index_that_is_switched_on_later_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut growing = Growing::new(8);
    let items = Options { items: true, ..Options::default() };
    for options in [items, Options { tags: true, ..items }, ALL] {
        (0..40).for_each(|_| growing.grow());
        let indexes = open(&growing.bench, folder.path(), options);
        follow(&indexes, &mut Random(3));
        let cursors = [Kind::Items, Kind::Tags, Kind::History].map(|kind| indexes.cursor(kind));
        assert_eq!(cursors[0], Ok(indexes.cursor(Kind::Items).unwrap()));
        if !options.tags {
            assert_eq!(cursors[1], Err(IndexError::Off(Kind::Tags)));
        }
        if options == ALL {
            let height = growing.height();
            growing.check(&indexes, height, 0);
        }
    }
}

#[test]
fn before_its_first_block_an_index_says_that_it_is_being_built() {
    let folder = tempfile::tempdir().unwrap();
    let mut growing = Growing::new(9);
    (0..10).for_each(|_| growing.grow());
    let indexes = open(&growing.bench, folder.path(), ALL);
    let head = Height(growing.height());
    let behind = |kind| Some(IndexError::Behind { kind, at: Height::GENESIS, head });
    assert_eq!(indexes.find(&[0; 32]).err(), behind(Kind::Items));
    assert_eq!(indexes.search(&[], Height(0), Height(9)).err(), behind(Kind::Tags));
    assert_eq!(indexes.view(&growing.head()).err(), behind(Kind::History));
    indexes.follow(3).unwrap();
    let behind = Some(IndexError::Behind { kind: Kind::History, at: Height(2), head });
    assert_eq!(indexes.view(&growing.head()).err(), behind);
}

#[test]
fn a_thread_follows_and_ends_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let mut growing = Growing::new(10);
    let indexes = Arc::new(open(&growing.bench, folder.path(), ALL));
    let (told, _heard) = channel::<String>();
    let tell = Box::new(move |line: &str| drop(told.send(line.to_owned())));
    let follower = Follower::start(Arc::clone(&indexes), tell).unwrap();
    for _ in 0..30 {
        growing.grow();
        let published: &Published<Slots> = growing.bench.chain.published();
        let head = published.durable().id();
        let stands = || indexes.cursor(Kind::Tags).unwrap().is_some_and(|cursor| cursor.id == head);
        for _ in 0..5000 {
            if stands() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(stands(), "it does not follow");
    }
    drop(follower);
    let height = growing.height();
    growing.check(&indexes, height, 0);
    assert_eq!(Arc::strong_count(&indexes), 1, "its thread has ended");
}
