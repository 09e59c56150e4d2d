//! The chain as it stood: pictures of older blocks.

mod support;

use chainwright_chain::*;
use support::*;

#[test]
fn every_block_of_the_chain_is_seen_as_it_stood() {
    let mut bench = Bench::new(1);
    let mut blocks = vec![genesis()];
    let mut stood = vec![bench.state()];
    for n in 0..20_u8 {
        let block = block_on(blocks.last().expect("there is genesis"), 1, &[(n % 5, n), (9, n)]);
        assert_eq!(bench.import(&block), Ok(Imported::Valid));
        stood.push(bench.state());
        blocks.push(block);
    }
    let published = bench.chain.published();
    let headers = |block: &TestBlock| published.headers(&id(block)).expect("the header was imported");
    for (block, stood) in blocks.iter().zip(&stood) {
        let view = published.view(&headers(block), 20).expect("it is within reach");
        assert_eq!((view.headers.id(), rows(&view.state)), (id(block), stood.clone()));
    }
    let too_old = PastError::TooOld { asked: Height(9), oldest: Height(10) };
    assert_eq!(published.view(&headers(&blocks[9]), 10).err(), Some(too_old));
}

#[test]
fn a_block_beside_the_chain_has_no_picture() {
    let mut bench = Bench::new(1);
    let (main, side) = (block_on(&genesis(), 2, &[(1, 1)]), block_on(&genesis(), 1, &[(1, 2)]));
    assert_eq!(bench.import(&main), Ok(Imported::Valid));
    assert_eq!(bench.import(&side), Ok(Imported::Stored));
    let published = bench.chain.published();
    let side = published.headers(&id(&side)).expect("the header was imported");
    assert_eq!(published.view(&side, 9).err(), Some(PastError::NotInChain));
}
