//! The peer harness itself: a real btcd starts, mines, relays and stops.

use chainwright_tests::{Btcd, RpcError, btcctl, wait_until};
use serde_json::json;
use std::time::Duration;

#[test]
fn btcd_mines_on_regtest_and_stops_when_asked() {
    let Some(mut btcd) = Btcd::start() else { return };
    assert_eq!(btcd.height(), 0);
    assert_eq!(btcd.best(), "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206");
    let ids = btcd.generate(5);
    assert_eq!(ids.len(), 5);
    assert_eq!(btcd.height(), 5);
    assert_eq!(btcd.rpc().call("getblockhash", json!([5])), json!(ids[4]));
    let ended = btcd.process().terminate(Duration::from_mins(1)).expect("btcd stops when asked");
    assert!(ended.success(), "{ended}");
}

#[test]
fn two_btcds_find_the_same_chain() {
    let Some(miner) = Btcd::start() else { return };
    let Some(follower) = Btcd::start() else { return };
    miner.generate(3);
    follower.connect(miner.address());
    wait_until("the follower has three blocks", Duration::from_mins(1), || follower.height() == 3);
    assert_eq!(follower.best(), miner.best());
}

#[test]
fn an_rpc_error_carries_the_code_of_the_server() {
    let Some(btcd) = Btcd::start() else { return };
    let error = btcd.rpc().try_call("getblockhash", json!([99])).unwrap_err();
    assert!(matches!(error, RpcError::Refused { code: -1, .. }), "{error}");
}

#[test]
fn btcctl_drives_btcd() {
    let Some(btcd) = Btcd::start() else { return };
    btcd.generate(2);
    assert_eq!(btcctl(btcd.rpc(), &["getblockcount"]), Some(Ok("2".to_owned())));
    let refused = btcctl(btcd.rpc(), &["getblockhash", "99"]).expect("btcctl comes with btcd");
    assert!(refused.unwrap_err().contains("-1"));
}
