//! An account of an Ethereum chain: a file with one key, and payments signed with it.

use std::io::Write as _;
use std::path::Path;

use alloy_consensus::crypto::secp256k1::{recover_signer, sign_message};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, TxKind, U256, hex};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{CliError, CliResult, Context as _};
use crate::rpc_client::Rpc;

/// Decimals of an ether.
const DECIMALS: usize = 18;

/// What the file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountFile {
    /// Name of the chain the account was made for; its key fits every Ethereum chain.
    chain: String,
    /// With its checksum (EIP-55).
    pub(crate) address: String,
    /// The secret key.
    secret_key: B256,
}

impl AccountFile {
    /// A new account with fresh randomness.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn random(chain: &str) -> CliResult<Self> {
        loop {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).context(|| "the system gives no randomness".to_owned())?;
            // All but one in 2^128 numbers are keys.
            if let Some(address) = address_of(B256::from(secret)) {
                let address = address.to_checksum(None);
                return Ok(Self { chain: chain.to_owned(), address, secret_key: secret.into() });
            }
        }
    }

    /// Reads an account's file, or one with nothing but 64 hexadecimal digits: the key.
    ///
    /// # Errors
    /// When the file cannot be read or holds no key.
    pub(crate) fn read(path: &Path) -> CliResult<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::usage(format!("cannot read {}: {error}", path.display()))
                .hint("`chainwright key new --chain NAME --out FILE` makes an account")
        })?;
        let wrong = |what: String| CliError::usage(format!("{} holds no account: {what}", path.display()));
        let bare = hex::decode(text.trim()).ok().and_then(|bytes| B256::try_from(&bytes[..]).ok());
        let file = match bare {
            Some(secret_key) => Self { chain: String::new(), address: String::new(), secret_key },
            None => serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?,
        };
        let address = address_of(file.secret_key).ok_or_else(|| wrong("its number is no key".to_owned()))?;
        let address = address.to_checksum(None);
        if bare.is_none() && file.address != address {
            return Err(wrong(format!("the key is that of {address}, not of {}", file.address)));
        }
        Ok(Self { address, ..file })
    }

    /// Writes it so that only its owner can read it; never over another file.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub(crate) fn write(&self, path: &Path) -> CliResult<()> {
        let text = serde_json::to_string_pretty(self).context(|| "cannot write the account".to_owned())?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| file.write_all(format!("{text}\n").as_bytes()));
        written.map_err(|error| {
            CliError::failed(format!("cannot write {}: {error}", path.display()))
                .hint("choose a file that does not exist")
        })
    }

    /// The key, as hexadecimal digits. Shown only when asked for.
    pub(crate) fn secret(&self) -> String {
        self.secret_key.to_string()
    }

    fn sign(&self, tx: TxEip1559) -> CliResult<TxEnvelope> {
        let signature =
            sign_message(self.secret_key, tx.signature_hash()).context(|| "cannot sign".to_owned())?;
        Ok(TxEnvelope::from(tx.into_signed(signature)))
    }
}

/// The account of a key: whoever is recovered from what it signs. `None` if the number is no key.
fn address_of(secret_key: B256) -> Option<Address> {
    let signature = sign_message(secret_key, B256::ZERO).ok()?;
    recover_signer(&signature, B256::ZERO).ok()
}

/// A payment that was handed in.
pub(crate) struct Paid {
    pub(crate) hash: String,
    pub(crate) from: String,
    /// The most it may cost beside what is paid, in wei.
    pub(crate) fee_max: U256,
}

/// Pays from an account's file, or from the first account the node signs for.
///
/// # Errors
/// When there is neither, the money does not suffice, or the node refuses.
pub(crate) fn pay(rpc: &mut Rpc, wallet: Option<&Path>, to: Address, wei: U256) -> CliResult<Paid> {
    let account = wallet.map(AccountFile::read).transpose()?;
    let from = match &account {
        Some(account) => account.address.clone(),
        None => first_unlocked(rpc)?,
    };
    let base_fee = number(&rpc.ask("eth_getBlockByNumber", json!(["latest", false]))?["baseFeePerGas"]);
    let tip = number(&rpc.ask("eth_maxPriorityFeePerGas", json!([]))?);
    let price = base_fee.saturating_mul(U256::from(2)).saturating_add(tip);
    let call = json!({ "from": from, "to": to, "value": wei });
    let gas = rpc.ask("eth_estimateGas", json!([call])).map_err(|error| {
        error.hint(format!("`chainwright show address {from}` tells what the account holds"))
    })?;
    let fee_max = number(&gas).saturating_mul(price);
    let Some(account) = account else {
        let request = json!({ "from": from, "to": to, "value": wei, "gas": gas });
        let hash = rpc.ask("eth_sendTransaction", json!([request]))?;
        return Ok(Paid { hash: hash.as_str().unwrap_or_default().to_owned(), from, fee_max });
    };
    let nonce = rpc.ask("eth_getTransactionCount", json!([from, "pending"]))?;
    let chain_id = rpc.ask("eth_chainId", json!([]))?;
    let signed = account.sign(TxEip1559 {
        chain_id: number(&chain_id).saturating_to(),
        nonce: number(&nonce).saturating_to(),
        gas_limit: number(&gas).saturating_to(),
        max_fee_per_gas: price.saturating_to(),
        max_priority_fee_per_gas: tip.saturating_to(),
        to: TxKind::Call(to),
        value: wei,
        ..TxEip1559::default()
    })?;
    let raw = format!("0x{}", hex::encode(signed.encoded_2718()));
    let hash = rpc.ask("eth_sendRawTransaction", json!([raw]))?;
    Ok(Paid { hash: hash.as_str().unwrap_or_default().to_owned(), from, fee_max })
}

fn first_unlocked(rpc: &mut Rpc) -> CliResult<String> {
    let accounts = rpc.ask("eth_accounts", json!([]))?;
    accounts[0].as_str().map(str::to_owned).ok_or_else(|| {
        CliError::usage("no account was named, and the node signs for none")
            .hint("name one with --wallet FILE; `chainwright key new --chain NAME --out FILE` makes one")
    })
}

fn number(value: &Value) -> U256 {
    let digits = value.as_str().unwrap_or_default().trim_start_matches("0x");
    U256::from_str_radix(digits, 16).unwrap_or_default()
}

/// An address: 40 hexadecimal digits; where they are of both cases, the checksum has to be right (EIP-55).
///
/// # Errors
/// When it is none.
pub(crate) fn parse_address(text: &str) -> CliResult<Address> {
    let digits = text.trim_start_matches("0x");
    let is_mixed = digits.chars().any(char::is_lowercase) && digits.chars().any(char::is_uppercase);
    let address: Option<Address> = digits.parse().ok().filter(|_| digits.len() == 40);
    let address = address.ok_or_else(|| {
        CliError::usage(format!("`{text}` is no address of an Ethereum chain"))
            .hint("40 hexadecimal digits are expected, with or without 0x")
    })?;
    if is_mixed && address.to_checksum(None)[2..] != *digits {
        return Err(CliError::usage(format!("the checksum of address `{text}` does not match"))
            .hint("a digit may be wrong: copy it again from where it came"));
    }
    Ok(address)
}

/// Wei of an amount in ether, exactly.
///
/// # Errors
/// When it is no amount.
pub(crate) fn parse_ether(text: &str) -> CliResult<U256> {
    let invalid = || {
        CliError::usage(format!("`{text}` is no amount"))
            .hint("write ether with at most 18 decimals, such as 0.5")
    };
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole)
        || !is_number(decimals)
        || decimals.len() > DECIMALS
        || whole.len() + decimals.len() == 0
    {
        return Err(invalid());
    }
    let digits = format!("{whole}{decimals:0<DECIMALS$}");
    U256::from_str_radix(&digits, 10).ok().filter(|wei| !wei.is_zero()).ok_or_else(invalid)
}

/// An amount in ether as people read it.
pub(crate) fn ether(wei: U256) -> String {
    let digits = format!("{:0>width$}", wei.to_string(), width = DECIMALS + 1);
    let (whole, decimals) = digits.split_at(digits.len() - DECIMALS);
    let decimals = decimals.trim_end_matches('0');
    if decimals.is_empty() { whole.to_owned() } else { format!("{whole}.{decimals}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ether_is_exact() {
        for text in ["1", "0.5", "0.000000000000000001", "10000.25"] {
            assert_eq!(ether(parse_ether(text).unwrap()), text);
        }
        assert_eq!(parse_ether(".5").unwrap(), U256::from(500_000_000_000_000_000_u64));
        for text in ["", ".", "0", "-1", "1e3", "0.0000000000000000001", "1,5", &"9".repeat(80)] {
            assert!(parse_ether(text).is_err(), "{text}");
        }
    }

    /// EIP-55's own examples.
    #[test]
    fn checksums_of_addresses_are_checked() {
        for text in
            ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"]
        {
            assert_eq!(parse_address(text).unwrap().to_checksum(None), text);
            assert!(parse_address(&text.to_lowercase()).is_ok());
            assert!(parse_address(&text[2..]).is_ok());
        }
        for text in
            ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed", "0x5aAeb6", "", "0x", "bc1q", &"0".repeat(41)]
        {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_makes_its_account_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80\n")
            .unwrap();
        assert_eq!(AccountFile::read(&path).unwrap().address, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        let own = AccountFile::random("pow-evm").unwrap();
        own.write(&folder.path().join("own")).unwrap();
        assert!(own.write(&folder.path().join("own")).is_err(), "never over another file");
        assert_eq!(AccountFile::read(&folder.path().join("own")).unwrap().address, own.address);
        let forged = AccountFile { address: AccountFile::random("x").unwrap().address, ..own };
        forged.write(&folder.path().join("forged")).unwrap();
        assert!(AccountFile::read(&folder.path().join("forged")).is_err());
        std::fs::write(&path, "00".repeat(32)).unwrap();
        assert!(AccountFile::read(&path).is_err(), "zero is no key");
    }
}
