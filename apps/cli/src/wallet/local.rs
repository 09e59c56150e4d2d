//! A wallet and what it has seen of the chain.

use std::path::{Path, PathBuf};

use bdk_wallet::bitcoin::bip32::Xpriv;
use bdk_wallet::bitcoin::consensus::deserialize;
use bdk_wallet::bitcoin::consensus::encode::serialize_hex;
use bdk_wallet::bitcoin::secp256k1::Secp256k1;
use bdk_wallet::bitcoin::{Address, Amount, Block, BlockHash, FeeRate, Network};
use bdk_wallet::miniscript::psbt::PsbtExt as _;
use bdk_wallet::{ChangeSet, KeychainKind, Wallet};
use serde_json::{Value, json};

use super::descriptors::WalletFile;
use crate::error::{CliError, CliResult, Context as _};
use crate::rpc_client::Rpc;
use crate::spec::{ChainFile, decode_hex};

/// An open wallet.
pub(crate) struct LocalWallet {
    wallet: Wallet,
    master: Xpriv,
    network: Network,
    seen: ChangeSet,
    state_file: PathBuf,
}

/// A payment that has been broadcast. Amounts in satoshi.
pub(crate) struct Sent {
    pub(crate) txid: String,
    pub(crate) fee: u64,
    pub(crate) change: u64,
}

impl LocalWallet {
    /// Opens a wallet file, with what it had seen when it was saved.
    ///
    /// # Errors
    /// When the file is no wallet. A state that does not fit is forgotten.
    pub(crate) fn open(path: &Path) -> CliResult<Self> {
        let file = WalletFile::read(path)?;
        let mut state_file = path.as_os_str().to_owned();
        state_file.push(".state");
        let state_file = PathBuf::from(state_file);
        let seen = std::fs::read(&state_file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let restored = seen.and_then(|seen: ChangeSet| Some((restore(&file, seen.clone())?, seen)));
        let (wallet, seen) = match restored {
            Some((wallet, seen)) => (wallet, seen),
            None => (file.wallet()?, ChangeSet::default()),
        };
        Ok(Self { wallet, master: file.master()?, network: file.network()?, seen, state_file })
    }

    /// Opens the wallet at a path, or makes one for the chain.
    ///
    /// # Errors
    /// As [`LocalWallet::open`], or when it cannot be written.
    pub(crate) fn open_or_create(path: &Path, chain: &ChainFile) -> CliResult<Self> {
        if !path.exists() {
            WalletFile::random(chain)?.write(path)?;
        }
        Self::open(path)
    }

    /// An address of the wallet.
    pub(crate) fn address(&self, index: u32) -> String {
        self.wallet.peek_address(KeychainKind::External, index).address.to_string()
    }

    /// What can be spent now, in satoshi.
    pub(crate) fn balance(&self) -> u64 {
        self.wallet.balance().trusted_spendable().to_sat()
    }

    /// Reads all blocks the wallet has not seen, following the node through reorganisations.
    ///
    /// # Errors
    /// When the node does not answer, or runs another chain.
    pub(crate) fn sync(&mut self, rpc: &mut Rpc) -> CliResult<()> {
        let genesis = block_hash(rpc, 0)?;
        if self.wallet.local_chain().genesis_hash().to_string() != genesis {
            return Err(CliError::usage(format!(
                "the wallet belongs to another chain than {}",
                rpc.address()
            ))
            .hint("name the wallet's own node with --rpc, or another wallet with --wallet"));
        }
        let tip = rpc.ask("getblockcount", json!([]))?.as_u64().unwrap_or_default() as u32;
        let mut next = 1;
        for checkpoint in self.wallet.checkpoints() {
            let height = checkpoint.height();
            if height <= tip && block_hash(rpc, height)? == checkpoint.hash().to_string() {
                next = height + 1;
                break;
            }
        }
        for height in next..=tip {
            let hash = block_hash(rpc, height)?;
            let hex = rpc.ask("getblock", json!([hash, 0]))?;
            let bytes = decode_hex(hex.as_str().unwrap_or_default()).unwrap_or_default();
            let block: Block = deserialize(&bytes)
                .context(|| format!("block {hash} of {} does not decode", rpc.address()))?;
            self.wallet
                .apply_block(&block, height)
                .context(|| format!("block {hash} does not follow what the wallet has seen; try again"))?;
        }
        // The first address is the one people are told: it stays watched even before it is used.
        self.wallet.reveal_addresses_to(KeychainKind::External, 0).for_each(drop);
        Ok(())
    }

    /// Pays and broadcasts. The fee rate is in satoshi per virtual byte.
    ///
    /// # Errors
    /// When the address makes no sense, the money does not suffice, or the node refuses.
    pub(crate) fn pay(
        &mut self,
        rpc: &mut Rpc,
        address: &str,
        satoshi: u64,
        fee_rate: u64,
    ) -> CliResult<Sent> {
        let parsed: Address<_> = address.parse().map_err(|_| {
            CliError::usage(format!("`{address}` is no address"))
                .hint("`chainwright key new --chain NAME` makes one")
        })?;
        let recipient = parsed.require_network(self.network).map_err(|_| {
            CliError::usage(format!("{address} is no address of this chain"))
                .hint("an address of regtest begins with bcrt1, of test networks with tb1")
        })?;
        let rate = FeeRate::from_sat_per_vb(fee_rate)
            .ok_or_else(|| CliError::usage(format!("a fee rate of {fee_rate} is too high")))?;
        let mut builder = self.wallet.build_tx();
        builder.add_recipient(recipient.script_pubkey(), Amount::from_sat(satoshi)).fee_rate(rate);
        let mut psbt = builder.finish().map_err(|error| {
            CliError::failed(format!("cannot make the payment: {error}"))
                .hint("a mined coin can be spent after 100 further blocks; `chainwright show address` tells balances")
        })?;
        let secp = Secp256k1::new();
        psbt.sign(&self.master, &secp)
            .map_err(|(_, errors)| CliError::failed(format!("cannot sign: {errors:?}")))?;
        let psbt = psbt.finalize(&secp).map_err(|_| {
            CliError::failed("the wallet does not have all the keys of what it wants to spend")
        })?;
        let fee = psbt.fee().map(Amount::to_sat).unwrap_or_default();
        let tx = psbt.extract_tx().context(|| "cannot finish the transaction".to_owned())?;
        let txid = rpc.ask("sendrawtransaction", json!([serialize_hex(&tx)]))?;
        let change = tx.output.iter().filter(|output| self.wallet.is_mine(output.script_pubkey.clone()));
        let change = change.map(|output| output.value.to_sat()).sum();
        let seen_at = rpc.ask("getblockchaininfo", json!([]))?["time"].as_u64().unwrap_or_default();
        self.wallet.apply_unconfirmed_txs([(tx, seen_at)]);
        Ok(Sent { txid: txid.as_str().unwrap_or_default().to_owned(), fee, change })
    }

    /// Keeps what the wallet has seen. Losing it only costs time.
    pub(crate) fn save_state(&mut self) {
        use bdk_wallet::chain::Merge as _;
        if let Some(fresh) = self.wallet.take_staged() {
            self.seen.merge(fresh);
        }
        let text = serde_json::to_vec(&self.seen).unwrap_or_default();
        let temporary = self.state_file.with_extension("state.new");
        let written =
            std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &self.state_file));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
    }
}

fn restore(file: &WalletFile, seen: ChangeSet) -> Option<Wallet> {
    Wallet::load()
        .descriptor(KeychainKind::External, Some(file.external.clone()))
        .descriptor(KeychainKind::Internal, Some(file.internal.clone()))
        .load_wallet_no_persist(seen)
        .ok()
        .flatten()
}

fn block_hash(rpc: &mut Rpc, height: u32) -> CliResult<String> {
    let hash = rpc.ask("getblockhash", json!([height]))?;
    let is_hash = |hash: &Value| hash.as_str().is_some_and(|hash| hash.parse::<BlockHash>().is_ok());
    match hash {
        hash if is_hash(&hash) => Ok(hash.as_str().unwrap_or_default().to_owned()),
        other => Err(CliError::failed(format!("{} answers {other} where a block id belongs", rpc.address()))),
    }
}
