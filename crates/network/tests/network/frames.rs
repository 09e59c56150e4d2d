//! Bytes as they are on the wire: real messages, and bytes that are none.

use bytes::Bytes;
use chainwright_chain::BlockId;
use chainwright_network::message::*;
use chainwright_network::*;
use hex_conservative::decode_to_vec;
use proptest::prelude::*;

const MAIN: [u8; 4] = [0xf9, 0xbe, 0xb4, 0xd9];

#[track_caller]
fn check_frame(hex: &str, message: &Message) {
    let wire = decode_to_vec(&hex.replace([' ', '\n'], "")).expect("the test's own hex");
    let mut decoder = FrameDecoder::new(MAIN, 4_000_000);
    decoder.push(&wire);
    let frame = decoder.next_frame().expect("a good frame").expect("a whole frame");
    assert_eq!(Message::decode(frame.command, frame.payload, Some(80)).as_ref(), Ok(message));
    let again = encode_frame(MAIN, message.command(), &message.encode(Some(80)));
    assert_eq!(again, wire);
}

fn at(a: [u8; 4], port: u16) -> NetworkAddress {
    NetworkAddress { host: Host::Ip4(a), port }
}

#[test]
fn verack_is_the_documented_24_bytes() {
    check_frame("f9beb4d9 76657261636b000000000000 00000000 5df6e0e2", &Message::Verack);
}

#[test]
fn version_is_the_documented_one() {
    // Bitcoin wiki, Protocol documentation, version, hex dump of /Satoshi:0.7.2/.
    let hex = "f9beb4d9 76657273696f6e0000000000 64000000 358d4932
        62ea0000 0100000000000000 11b2d05000000000
        0100000000000000 00000000000000000000ffff000000000000
        0000000000000000 00000000000000000000ffff000000000000
        3b2eb35d8ce61765 0f2f5361746f7368693a302e372e322f c03e0300";
    let wire = decode_to_vec(&hex.replace([' ', '\n'], "")).unwrap();
    let mut decoder = FrameDecoder::new(MAIN, 4_000_000);
    decoder.push(&wire);
    let frame = decoder.next_frame().unwrap().expect("the documented checksum is right");
    let Message::Version(version) = Message::decode(frame.command, frame.payload, None).unwrap() else {
        panic!("version expected");
    };
    assert_eq!((version.version, version.services, version.time), (60002, 1, 1_355_854_353));
    assert_eq!(version.nonce, 0x6517_e68c_5db3_2e3b);
    assert_eq!((version.user_agent.as_str(), version.start_height), ("/Satoshi:0.7.2/", 212_672));
    // BIP37's byte, which this peer does not send, means yes.
    assert!(version.relay);
    // We always send it: one byte more, everything else the same.
    let mut expected = wire[24..].to_vec();
    expected.push(1);
    let sent = Message::Version(version).encode(None);
    assert_eq!(sent[..46], expected[..46]);
    assert_eq!(sent[72..], expected[72..]);
}

#[test]
fn addr_is_the_documented_one() {
    let info = AddressInfo { time: 0x4d10_15e2, services: 1, address: at([10, 0, 0, 1], 8333) };
    let hex = "f9beb4d9 616464720000000000000000 1f000000 ed52399b
        01 e215104d 0100000000000000 00000000000000000000ffff0a000001 208d";
    check_frame(hex, &Message::Addr(vec![info]));
}

#[test]
fn headers_of_genesis_are_its_80_bytes_and_a_zero() {
    let genesis = "01000000 0000000000000000000000000000000000000000000000000000000000000000
        3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a 29ab5f49 ffff001d 1dac2b7c";
    let header = decode_to_vec(&genesis.replace([' ', '\n'], "")).unwrap();
    let message = Message::Headers(vec![Bytes::from(header.clone())]);
    let payload = message.encode(Some(80));
    assert_eq!(payload.len(), 82);
    assert_eq!((payload[0], &payload[1..81], payload[81]), (1, &header[..], 0));
    let decoded = Message::decode(message.command(), payload.into(), Some(80)).unwrap();
    assert_eq!(decoded, message);
}

#[test]
fn inventory_and_locators_have_bitcoins_form() {
    let entry = |kind| Inventory { kind, id: [0xab; 32] };
    let list = vec![
        entry(InventoryKind::Transaction),
        entry(InventoryKind::WitnessBlock),
        entry(InventoryKind::WitnessId),
        entry(InventoryKind::Unknown(77)),
    ];
    let payload = Message::GetData(list.clone()).encode(None);
    assert_eq!(payload[..5], [4, 1, 0, 0, 0]);
    assert_eq!(payload[37..41], [2, 0, 0, 0x40]);
    assert_eq!(payload[73..77], [5, 0, 0, 0]);
    let locate = Locate { version: 70016, locator: vec![BlockId([1; 32])], stop: BlockId::ZERO };
    let payload = Message::GetHeaders(locate.clone()).encode(None);
    assert_eq!(payload[..5], [0x80, 0x11, 0x01, 0x00, 1]);
    assert_eq!(payload.len(), 4 + 1 + 32 + 32);
    for message in [Message::Inv(list), Message::GetHeaders(locate)] {
        let decoded = Message::decode(message.command(), message.encode(None).into(), None).unwrap();
        assert_eq!(decoded, message);
    }
}

#[test]
fn addrv2_keeps_known_networks_and_skips_others() {
    // BIP155: time, services as compact size, network, length, address, port in network order.
    let hosts = [
        Host::Ip4([1, 2, 3, 4]),
        Host::Ip6([0x20; 16]),
        Host::Onion([7; 32]),
        Host::I2p([8; 32]),
        Host::Cjdns([0xfc; 16]),
    ];
    let list: Vec<_> = hosts
        .map(|host| AddressInfo {
            time: 0x5555_5555,
            services: 0x409,
            address: NetworkAddress { host, port: 1 },
        })
        .into();
    let message = Message::AddrV2(list.clone());
    let mut payload = message.encode(None);
    assert_eq!(payload[1..17], [0x55, 0x55, 0x55, 0x55, 0xfd, 9, 4, 1, 4, 1, 2, 3, 4, 0, 1, 0x55]);
    // A sixth address of network 99.
    payload[0] = 6;
    payload.extend_from_slice(&[0, 0, 0, 0, 0, 99, 3, 1, 2, 3, 0, 1]);
    assert_eq!(Message::decode(message.command(), payload.into(), None).unwrap(), message);
}

#[test]
fn lists_beyond_the_limit_are_an_offence_and_short_ones_an_accident() {
    let decode = |name: &str, payload: &[u8]| {
        let mut wire = encode_frame(MAIN, Message::Verack.command(), payload).to_vec();
        wire[4..16].fill(0);
        wire[4..4 + name.len()].copy_from_slice(name.as_bytes());
        let mut decoder = FrameDecoder::new(MAIN, 4_000_000);
        decoder.push(&wire);
        let frame = decoder.next_frame().unwrap().unwrap();
        Message::decode(frame.command, frame.payload, Some(80))
    };
    let too_many = |count: u64, max| Err(MessageError::TooMany { count, max });
    assert_eq!(decode("headers", &[0xfd, 0xd1, 7]), too_many(2_001, HEADERS_MAX));
    assert_eq!(decode("addr", &[0xfd, 0xe9, 3]), too_many(1_001, ADDRESSES_MAX));
    assert_eq!(decode("inv", &[0xfd, 0x51, 0xc3]), too_many(50_001, INVENTORY_MAX));
    assert!(matches!(decode("inv", &[2, 1, 0, 0, 0]), Err(MessageError::Malformed(_))));
    assert!(matches!(decode("inv", &[0xfd, 1, 0]), Err(MessageError::Malformed(_))), "not the shortest form");
    assert!(matches!(decode("whatever", b"anything"), Ok(Message::Unknown(_))));
}

#[test]
fn an_oversized_length_is_refused_before_a_byte_of_payload() {
    let mut header = encode_frame(MAIN, Message::Verack.command(), &[]).to_vec();
    header[16..20].copy_from_slice(&4_000_001_u32.to_le_bytes());
    let mut decoder = FrameDecoder::new(MAIN, 4_000_000);
    decoder.push(&header);
    assert_eq!(decoder.next_frame(), Err(FrameError::Oversized { length: 4_000_001, max: 4_000_000 }));
}

#[test]
fn a_wrong_checksum_loses_one_frame_and_wrong_magic_all() {
    let good = encode_frame(MAIN, Message::Pong(5).command(), &Message::Pong(5).encode(None));
    let mut bad = good.to_vec();
    bad[24] ^= 1;
    let mut decoder = FrameDecoder::new(MAIN, 4_000_000);
    decoder.push(&bad);
    decoder.push(&good);
    assert!(decoder.next_frame().unwrap().is_some());
    assert_eq!((decoder.dropped(), decoder.buffered()), (1, 0));
    decoder.push(&[0xf9, 0xbf]);
    assert_eq!(decoder.next_frame(), Err(FrameError::Magic), "as soon as it shows");
}

proptest! {
    #[test]
    fn frames_survive_any_cutting(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8), cut in 1..50_usize) {
        let mut wire = Vec::new();
        for payload in &payloads {
            wire.extend_from_slice(&encode_frame(MAIN, Message::Block(Bytes::new()).command(), payload));
        }
        let mut decoder = FrameDecoder::new(MAIN, 1_000);
        let mut seen = Vec::new();
        for chunk in wire.chunks(cut) {
            decoder.push(chunk);
            while let Some(frame) = decoder.next_frame().unwrap() {
                seen.push(frame.payload.to_vec());
            }
        }
        prop_assert_eq!(seen, payloads);
        prop_assert_eq!(decoder.buffered(), 0);
    }

    #[test]
    fn no_bytes_make_decoding_panic(name in 0..26_usize, payload in prop::collection::vec(any::<u8>(), 0..300), length in prop::option::of(0..100_usize)) {
        const NAMES: [&str; 26] = [
            "version", "verack", "ping", "pong", "addr", "addrv2", "sendaddrv2", "getaddr", "inv", "getdata", "notfound",
            "getblocks", "getheaders", "headers", "sendheaders", "block", "tx", "mempool", "feefilter", "wtxidrelay",
            "sendcmpct", "reject", "proof", "x", "", "cmpctblock",
        ];
        let mut wire = encode_frame(MAIN, Message::Verack.command(), &payload).to_vec();
        wire[4..16].fill(0);
        wire[4..4 + NAMES[name].len()].copy_from_slice(NAMES[name].as_bytes());
        let mut decoder = FrameDecoder::new(MAIN, 1_000);
        decoder.push(&wire);
        let frame = decoder.next_frame().unwrap().unwrap();
        if let Ok(message) = Message::decode(frame.command, frame.payload, length) {
            let encoded = message.encode(length);
            if !matches!(message, Message::Unknown(_)) {
                let again = Message::decode(message.command(), encoded.into(), length).unwrap();
                prop_assert_eq!(again, message);
            }
        }
    }
}
