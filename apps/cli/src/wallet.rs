//! `chainwright key` and `pay`: a small wallet that lives in one file and knows a node only through RPC.
//!
//! ```text
//!   wallet.json        secret descriptors, readable by its owner alone
//!   wallet.json.state  what the wallet has seen of the chain; may be lost
//! ```
//!
//! Invariant: secrets are printed only when asked for and never sent anywhere.

mod account;
mod descriptors;
mod local;

use std::path::{Path, PathBuf};

use serde_json::json;

pub(crate) use account::{ether, parse_address};
pub(crate) use local::LocalWallet;

use crate::args::{KeyCommand, PayArgs};
use crate::discovery;
use crate::error::{CliError, CliResult};
use crate::node::{make_sealing_key, read_sealing_key};
use crate::{print, spec, talk};
use account::AccountFile;
use chainwright_solo::SealingKey;
use descriptors::WalletFile;

use crate::rpc_client::{Rpc, RpcError};
use crate::spec::LedgerKind;

/// The name of the wallet that `dev` makes, in the network's folder.
pub(crate) const DEV_WALLET: &str = "wallet.json";

pub(crate) fn key(command: KeyCommand, is_json: bool) -> CliResult<()> {
    match command {
        KeyCommand::New { chain, out, show_secret } => new_key(&chain, out.as_deref(), show_secret, is_json),
        KeyCommand::Seal { file, new } => {
            let secret = if new { make_sealing_key(&file)? } else { read_sealing_key(&file)? };
            if new {
                talk(format!(
                    "wrote {}; whoever reads it can seal blocks, nobody can restore it",
                    file.display()
                ));
            }
            let key = SealingKey::from_bytes(secret)
                .map_err(|error| CliError::usage(format!("{}: {error}", file.display())))?;
            let public = spec::encode_hex(&key.verifying_key().to_bytes());
            print(if is_json { json!({ "public_key": public }).to_string() } else { public });
            Ok(())
        }
        KeyCommand::Address { wallet, index } => {
            if let Ok(account) = AccountFile::read(&wallet) {
                let said = json!({ "address": account.address });
                print(if is_json { said.to_string() } else { account.address });
                return Ok(());
            }
            let wallet = LocalWallet::open(&wallet)?;
            let address = wallet.address(index);
            print(if is_json { json!({ "address": address, "index": index }).to_string() } else { address });
            Ok(())
        }
    }
}

fn new_key(chain: &str, out: Option<&Path>, show_secret: bool, is_json: bool) -> CliResult<()> {
    let chain = spec::load(chain)?;
    if chain.ledger == LedgerKind::Evm {
        return new_account(&chain.name, out, show_secret, is_json);
    }
    let file = WalletFile::random(&chain)?;
    if let Some(path) = out {
        file.write(path)?;
        talk(format!("wrote {}; whoever reads it can spend, nobody can restore it", path.display()));
    }
    let public = file.public()?;
    let secret = show_secret.then_some(&file);
    if is_json {
        print(
            json!({
                "chain": file.chain, "address": public.address, "descriptor": public.external,
                "change_descriptor": public.internal,
                "secret_descriptor": secret.map(|file| &file.external),
                "secret_change_descriptor": secret.map(|file| &file.internal),
                "wif": secret.map(|_| &public.wif),
            })
            .to_string(),
        );
        return Ok(());
    }
    print(format!("address     {}", public.address));
    print(format!("descriptor  {}", public.external));
    print(format!("change      {}", public.internal));
    if let Some(file) = secret {
        print(format!("secret      {}", file.external));
        print(format!("secret      {}", file.internal));
        print(format!("wif         {}   (the first address)", public.wif));
    }
    Ok(())
}

fn new_account(chain: &str, out: Option<&Path>, show_secret: bool, is_json: bool) -> CliResult<()> {
    let file = AccountFile::random(chain)?;
    if let Some(path) = out {
        file.write(path)?;
        talk(format!("wrote {}; whoever reads it can spend, nobody can restore it", path.display()));
    }
    let secret = show_secret.then(|| file.secret());
    if is_json {
        print(json!({ "chain": chain, "address": file.address, "secret_key": secret }).to_string());
        return Ok(());
    }
    print(format!("address  {}", file.address));
    if let Some(secret) = secret {
        print(format!("secret   {secret}"));
    }
    Ok(())
}

/// Pays from an account where the node speaks Ethereum's dialect; `None` where it does not.
fn pay_from_account(rpc: &mut Rpc, args: &PayArgs) -> CliResult<Option<account::Paid>> {
    match rpc.call("eth_chainId", json!([])) {
        Err(RpcError::Refused { code: -32_601, .. }) => return Ok(None),
        Err(error) => return Err(rpc.explain("eth_chainId", &error)),
        Ok(_) => {}
    }
    let (to, wei) = (parse_address(&args.address)?, account::parse_ether(&args.amount)?);
    account::pay(rpc, args.wallet.as_deref(), to, wei).map(Some)
}

pub(crate) fn pay(args: &PayArgs, is_json: bool) -> CliResult<()> {
    let mut rpc = discovery::find(&args.rpc)?;
    if let Some(paid) = pay_from_account(&mut rpc, args)? {
        let fee_max = ether(paid.fee_max);
        if is_json {
            print(json!({ "hash": paid.hash, "from": paid.from, "fee_max": fee_max }).to_string());
        } else {
            print(&paid.hash);
            talk(format!("{} ether from {}, with a fee of {fee_max} at most", args.amount, paid.from));
            talk(format!("hint: chainwright show tx {} --rpc {}", paid.hash, rpc.address()));
        }
        return Ok(());
    }
    let path = match &args.wallet {
        Some(path) => path.clone(),
        None => dev_wallet(rpc.address())?,
    };
    let mut wallet = LocalWallet::open(&path)?;
    wallet.sync(&mut rpc)?;
    let amount = parse_coins(&args.amount)?;
    let sent = wallet.pay(&mut rpc, &args.address, amount, args.fee_rate)?;
    wallet.save_state();
    if is_json {
        print(json!({ "txid": sent.txid, "fee": sent.fee, "change": sent.change }).to_string());
    } else {
        print(&sent.txid);
        talk(format!(
            "paid {} with a fee of {}; {} left",
            args.amount,
            coins(sent.fee),
            coins(wallet.balance())
        ));
        talk(format!("hint: chainwright show tx {}", sent.txid));
    }
    Ok(())
}

/// The wallet of the local network that a node belongs to.
fn dev_wallet(rpc_address: &str) -> CliResult<PathBuf> {
    let folder = discovery::folder_of(rpc_address);
    let wallet = folder.and_then(|node| Some(node.parent()?.join(DEV_WALLET)));
    wallet.filter(|path| path.is_file()).ok_or_else(|| {
        CliError::usage("no wallet was named and none was found beside the node")
            .hint("name one with --wallet FILE; `chainwright key new --out FILE` makes one")
    })
}

/// Satoshi of an amount in coins, exactly.
pub(crate) fn parse_coins(text: &str) -> CliResult<u64> {
    let invalid = || {
        CliError::usage(format!("`{text}` is no amount"))
            .hint("write coins with at most eight decimals, such as 0.5")
    };
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || decimals.len() > 8 || whole.len() + decimals.len() == 0 {
        return Err(invalid());
    }
    let digits = format!("{whole}{decimals:0<8}");
    digits.parse().ok().filter(|satoshi| *satoshi > 0).ok_or_else(invalid)
}

/// An amount in coins as people read it.
pub(crate) fn coins(satoshi: u64) -> String {
    format!("{}.{:08}", satoshi / 100_000_000, satoshi % 100_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, satoshi) in
            [("1", 100_000_000), ("0.5", 50_000_000), (".00000001", 1), ("21.", 2_100_000_000)]
        {
            assert_eq!(parse_coins(text).unwrap(), satoshi, "{text}");
        }
        for text in ["", ".", "0", "-1", "1e3", "0.000000001", "1,5", "99999999999999999999"] {
            assert!(parse_coins(text).is_err(), "{text}");
        }
        assert_eq!(coins(150_000_001), "1.50000001");
    }
}
