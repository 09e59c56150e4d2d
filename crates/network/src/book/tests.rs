//! The book: who gets in, who is chosen, what survives being saved.

use super::{AddressBook, PLACES, SOURCE_BUCKETS};
use crate::random::Random;
use crate::{AddressInfo, Host, NODE_NETWORK, NetworkAddress};

const NOW: u64 = 1_700_000_000;

fn at(bytes: [u8; 4]) -> NetworkAddress {
    NetworkAddress { host: Host::Ip4(bytes), port: 8333 }
}

fn info(address: NetworkAddress) -> AddressInfo {
    AddressInfo { time: NOW as u32, services: NODE_NETWORK, address }
}

fn filled(count: u32) -> AddressBook {
    let mut book = AddressBook::new([3; 32]);
    for index in 0..count {
        let [_, a, b, c] = index.to_be_bytes();
        book.add(&info(at([11 + a, b, c, 1])), &at([50, c, 1, 1]), 0, NOW);
    }
    book
}

#[test]
fn unroutable_addresses_are_not_kept() {
    let mut book = AddressBook::new([1; 32]);
    for host in [[127, 0, 0, 1], [10, 1, 1, 1], [192, 168, 0, 1], [0, 0, 0, 0]] {
        assert!(!book.add(&info(at(host)), &at([8, 8, 8, 8]), 0, NOW));
    }
    assert!(book.is_empty());
    assert!(book.add(&info(at([8, 8, 4, 4])), &at([8, 8, 8, 8]), 0, NOW));
}

#[test]
fn one_source_cannot_fill_the_book() {
    let mut book = AddressBook::new([1; 32]);
    for index in 0..100_000_u32 {
        let [_, a, b, c] = index.to_be_bytes();
        book.add(&info(at([20 + a, b, c, 1])), &at([8, 8, 8, 8]), 0, NOW);
    }
    assert!(book.len() as u64 <= SOURCE_BUCKETS * PLACES);
    assert!(book.len() > 1_000);
}

#[test]
fn a_good_address_is_tried_and_still_chosen() {
    let mut book = filled(500);
    let chosen = at([11, 0, 7, 1]);
    book.good(&chosen, NODE_NETWORK, NOW);
    assert_eq!(book.tried_count(), 1);
    let mut random = Random::new(&[9; 32]);
    let later = NOW + 3600;
    let hits = (0..200).filter(|_| {
        book.select(false, later, &mut random).is_some_and(|selected| selected.address == chosen)
    });
    let hits = hits.count();
    assert!((60..140).contains(&hits), "{hits} of 200, half expected");
    assert!(!(0..50).any(|_| book.select(true, later, &mut random).unwrap().address == chosen));
}

#[test]
fn a_saved_book_reads_back_equal_and_damage_is_an_error() {
    let mut book = filled(300);
    book.good(&at([11, 0, 5, 1]), NODE_NETWORK, NOW);
    book.attempted(&at([11, 0, 6, 1]), NOW);
    let bytes = book.encode();
    let again = AddressBook::decode(&bytes).unwrap();
    assert_eq!(again.encode(), bytes);
    assert_eq!(again.known, book.known);
    for end in [0, 4, 20, bytes.len() / 2, bytes.len() - 1] {
        assert!(AddressBook::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_sample_is_a_quarter_at_most_and_nothing_old() {
    let book = filled(400);
    let mut random = Random::new(&[2; 32]);
    assert_eq!(book.sample(1_000, 23, NOW, &mut random).len(), book.len() * 23 / 100);
    assert_eq!(book.sample(10, 23, NOW, &mut random).len(), 10);
    assert!(book.sample(1_000, 23, NOW + 60 * 24 * 3600, &mut random).is_empty());
}
