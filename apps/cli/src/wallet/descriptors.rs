//! The wallet's file: two descriptors with their secrets.

use std::io::Write as _;
use std::path::Path;

use bdk_wallet::bitcoin::bip32::{DerivationPath, Xpriv};
use bdk_wallet::bitcoin::secp256k1::Secp256k1;
use bdk_wallet::bitcoin::{CompressedPublicKey, Network, PrivateKey};
use bdk_wallet::{KeychainKind, Wallet};
use serde::{Deserialize, Serialize};

use crate::error::{CliError, CliResult, Context as _};
use crate::spec::{ChainFile, LedgerKind};

/// What the file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WalletFile {
    /// Name of the chain the wallet was made for.
    pub(crate) chain: String,
    /// What addresses look like: `main`, `testnet4`, `signet` or `regtest`.
    pub(crate) network: String,
    /// The descriptor addresses come from, with its secret.
    pub(crate) external: String,
    /// The descriptor change goes to, with its secret.
    pub(crate) internal: String,
}

/// What may be shown of it.
pub(crate) struct Public {
    pub(crate) address: String,
    pub(crate) external: String,
    pub(crate) internal: String,
    /// The first address's private key. Secret all the same: shown only when asked for.
    pub(crate) wif: String,
}

impl WalletFile {
    /// A new wallet with fresh randomness (BIP-0084 paths).
    ///
    /// # Errors
    /// When the chain has another ledger, or the system gives no randomness.
    pub(crate) fn random(chain: &ChainFile) -> CliResult<Self> {
        if chain.ledger != LedgerKind::Utxo {
            return Err(CliError::usage(format!(
                "chain {} has no coins: its ledger is not utxo",
                chain.name
            ))
            .hint("choose a Bitcoin chain; `chainwright spec list` names them"));
        }
        let network = chain.utxo.as_ref().map(|utxo| utxo.rpc_name.clone()).unwrap_or_default();
        let kind = parse_network(&network)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).context(|| "the system gives no randomness".to_owned())?;
        let master = Xpriv::new_master(kind, &seed).context(|| "cannot make a key".to_owned())?;
        let coin = u8::from(kind != Network::Bitcoin);
        let descriptor = |branch: u8| format!("wpkh({master}/84h/{coin}h/0h/{branch}/*)");
        Ok(Self { chain: chain.name.clone(), network, external: descriptor(0), internal: descriptor(1) })
    }

    /// Reads a wallet.
    ///
    /// # Errors
    /// When the file cannot be read or is no wallet.
    pub(crate) fn read(path: &Path) -> CliResult<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::usage(format!("cannot read the wallet {}: {error}", path.display()))
                .hint("`chainwright key new --out FILE` makes one")
        })?;
        serde_json::from_str(&text)
            .map_err(|error| CliError::usage(format!("{} is no wallet: {error}", path.display())))
    }

    /// Writes a wallet that only its owner can read; never over another file.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub(crate) fn write(&self, path: &Path) -> CliResult<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let cannot_write = || format!("cannot write {}", path.display());
        let mut file = options.open(path).map_err(|error| {
            CliError::failed(format!("{}: {error}", cannot_write())).hint("choose a file that does not exist")
        })?;
        let text = serde_json::to_string_pretty(self).context(cannot_write)?;
        writeln!(file, "{text}").context(cannot_write)?;
        file.sync_all().context(cannot_write)
    }

    /// What addresses look like.
    ///
    /// # Errors
    /// When the file names something unknown.
    pub(crate) fn network(&self) -> CliResult<Network> {
        parse_network(&self.network)
    }

    /// A wallet that has seen nothing yet.
    ///
    /// # Errors
    /// When a descriptor makes no sense.
    pub(crate) fn wallet(&self) -> CliResult<Wallet> {
        Wallet::create(self.external.clone(), self.internal.clone())
            .network(self.network()?)
            .create_wallet_no_persist()
            .context(|| "the wallet's descriptors make no sense".to_owned())
    }

    /// What may be shown.
    ///
    /// # Errors
    /// As [`WalletFile::wallet`].
    pub(crate) fn public(&self) -> CliResult<Public> {
        let wallet = self.wallet()?;
        Ok(Public {
            address: wallet.peek_address(KeychainKind::External, 0).address.to_string(),
            external: wallet.public_descriptor(KeychainKind::External).to_string(),
            internal: wallet.public_descriptor(KeychainKind::Internal).to_string(),
            wif: self.first_key()?.to_wif(),
        })
    }

    /// The key everything is derived from, and the path of the external branch.
    fn master_and_path(&self) -> CliResult<(Xpriv, &str)> {
        let inner = self.external.strip_prefix("wpkh(").and_then(|rest| rest.split_once("/*)"));
        let parts = inner.and_then(|(inner, _)| inner.split_once('/'));
        let (key, path) =
            parts.ok_or_else(|| CliError::failed("the wallet's descriptors were not made by `key new`"))?;
        Ok((key.parse().context(|| "the wallet's descriptors make no sense".to_owned())?, path))
    }

    /// The key everything is derived from.
    ///
    /// # Errors
    /// When the descriptors are not those `key new` makes.
    pub(crate) fn master(&self) -> CliResult<Xpriv> {
        self.master_and_path().map(|(master, _)| master)
    }

    /// The private key behind the first address.
    fn first_key(&self) -> CliResult<PrivateKey> {
        let wrong = || "the wallet's descriptors make no sense".to_owned();
        let (master, path) = self.master_and_path()?;
        let path: DerivationPath = format!("m/{path}/0").parse().context(wrong)?;
        let secp = Secp256k1::new();
        let derived = master.derive_priv(&secp, &path).context(wrong)?;
        let key = PrivateKey::new(derived.private_key, self.network()?);
        // Refused here rather than shown: a key without a compressed form has no witness address.
        CompressedPublicKey::from_private_key(&secp, &key).context(wrong)?;
        Ok(key)
    }
}

fn parse_network(name: &str) -> CliResult<Network> {
    match name {
        "main" => Ok(Network::Bitcoin),
        "testnet4" => Ok(Network::Testnet4),
        "signet" => Ok(Network::Signet),
        "regtest" => Ok(Network::Regtest),
        other => Err(CliError::usage(format!("the wallet does not know addresses of `{other}`"))
            .hint("it knows main, testnet4, signet and regtest")),
    }
}
