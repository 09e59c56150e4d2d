//! Who may ask: the cookie file, a user with password, `rpcauth` lines, and the addresses that may connect.
//!
//! Invariants:
//! - no secret is kept in clear or logged: only salted hashes stay in memory;
//! - comparing a password takes the same time wherever it differs.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use hex_conservative::DisplayHex as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// The user of the cookie file (Bitcoin Core `rpc/request.cpp`).
pub const COOKIE_USER: &str = "__cookie__";

/// How callers show who they are.
#[derive(Clone, Default)]
pub struct AuthConfig {
    /// Where a cookie with a fresh password is written; `None` for no cookie.
    pub cookie_path: Option<PathBuf>,
    /// A user and password from the configuration; Bitcoin Core writes no cookie then.
    pub user_password: Option<(String, String)>,
    /// Lines `user:salt$hash` as `share/rpcauth` makes them.
    pub rpcauth: Vec<String>,
}

/// Shows which ways are configured, never a secret.
impl std::fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthConfig")
            .field("cookie_path", &self.cookie_path)
            .field("user_password", &self.user_password.as_ref().map(|_| "…"))
            .field("rpcauth", &self.rpcauth.len())
            .finish()
    }
}

/// Why nobody could be let in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The cookie could not be written.
    #[error("cannot write the cookie file {path}: {source}; name another with -rpccookiefile", path = path.display())]
    Cookie {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not `user:salt$hash`.
    #[error("invalid -rpcauth argument; it has the form user:salt$hash")]
    Rpcauth,
    /// The operating system gave no randomness.
    #[error("no randomness for the cookie: {0}")]
    Randomness(getrandom::Error),
}

struct Credential {
    user: String,
    salt: String,
    hash: String,
}

/// Everybody who may ask, and the cookie file while it exists.
pub(crate) struct Gate {
    credentials: Vec<Credential>,
    cookie: Option<PathBuf>,
}

impl Gate {
    /// Reads the configuration and writes the cookie.
    pub(crate) fn open(config: &AuthConfig) -> Result<Self, AuthError> {
        let mut credentials = Vec::new();
        let mut cookie = None;
        if let Some((user, password)) = &config.user_password {
            credentials.push(salted(user, password)?);
        } else if let Some(path) = &config.cookie_path {
            let password = random_hex::<32>()?;
            let written = write_cookie(path, &password);
            written.map_err(|source| AuthError::Cookie { path: path.clone(), source })?;
            credentials.push(salted(COOKIE_USER, &password)?);
            cookie = Some(path.clone());
        }
        for line in &config.rpcauth {
            credentials.push(parse_rpcauth(line).ok_or(AuthError::Rpcauth)?);
        }
        Ok(Self { credentials, cookie })
    }

    /// Whether an `Authorization` header names somebody who may ask.
    pub(crate) fn admits(&self, header: &str) -> bool {
        let Some(encoded) = header.strip_prefix("Basic ") else { return false };
        let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(encoded.trim()) else {
            return false;
        };
        let Some(colon) = decoded.iter().position(|&byte| byte == b':') else { return false };
        let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
        self.credentials.iter().any(|credential| {
            let hash = password_hash(&credential.salt, password);
            let same_user = credential.user.as_bytes().ct_eq(user);
            bool::from(same_user & credential.hash.as_bytes().ct_eq(hash.as_bytes()))
        })
    }

    /// Removes the cookie file.
    pub(crate) fn close(&self) {
        if let Some(path) = &self.cookie
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove the RPC cookie file");
        }
    }
}

fn salted(user: &str, password: &str) -> Result<Credential, AuthError> {
    let salt = random_hex::<16>()?;
    let hash = password_hash(&salt, password.as_bytes());
    Ok(Credential { user: user.to_owned(), salt, hash })
}

fn random_hex<const N: usize>() -> Result<String, AuthError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(AuthError::Randomness)?;
    Ok(bytes.to_lower_hex_string())
}

/// HMAC-SHA256 of the password under the salt's hex digits, in hex (Bitcoin Core `CheckUserAuthorized`).
fn password_hash(salt: &str, password: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(password);
    let hash: [u8; 32] = mac.finalize().into_bytes().into();
    hash.to_lower_hex_string()
}

fn parse_rpcauth(line: &str) -> Option<Credential> {
    let (user, salted) = line.split_once(':')?;
    let (salt, hash) = salted.split_once('$')?;
    let is_one_field = |text: &str| !text.contains([':', '$']);
    let well_formed = is_one_field(salt) && is_one_field(hash);
    well_formed.then(|| Credential { user: user.into(), salt: salt.into(), hash: hash.into() })
}

/// Writes `__cookie__:password`, readable by its owner alone, whole or not at all.
fn write_cookie(path: &Path, password: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let temporary = path.with_extension("cookie.tmp");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options.open(&temporary)?;
    file.write_all(format!("{COOKIE_USER}:{password}").as_bytes())?;
    drop(file);
    std::fs::rename(temporary, path)
}

/// Addresses that may connect: one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    network: IpAddr,
    mask: u128,
}

impl IpRange {
    /// The addresses of this machine, which may always connect.
    pub const LOOPBACK: [Self; 2] = [
        Self { network: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), mask: 0xff00_0000 },
        Self { network: IpAddr::V6(Ipv6Addr::LOCALHOST), mask: u128::MAX },
    ];

    /// Reads `1.2.3.4`, `1.2.3.0/24`, `1.2.3.0/255.255.255.0`, `::1` or `fe80::/10`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().ok()?;
        let bits = if network.is_ipv4() { 32 } else { 128 };
        let full = u128::MAX >> (128 - bits);
        let mask = match (mask, mask.and_then(|mask| mask.parse::<u32>().ok())) {
            (None, _) => full,
            (_, Some(length)) if length <= bits => full & !full.checked_shr(length).unwrap_or(0),
            (_, Some(_)) => return None,
            (Some(mask), None) => number(mask.parse().ok().filter(|mask: &IpAddr| mask.is_ipv4())?),
        };
        Some(Self { network, mask })
    }

    /// Whether an address lies in the range. IPv4 addresses in IPv6 clothes count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4()
            && number(address) & self.mask == number(self.network) & self.mask
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
    }

    #[test]
    fn a_password_admits_and_every_other_does_not() {
        let config =
            AuthConfig { user_password: Some(("alice".into(), "pa:ss".into())), ..AuthConfig::default() };
        let gate = Gate::open(&config).unwrap();
        assert!(gate.admits(&basic("alice:pa:ss")));
        for wrong in ["alice:pa:s", "alice:", "bob:pa:ss", ":", "alice"] {
            assert!(!gate.admits(&basic(wrong)), "{wrong}");
        }
        assert!(!gate.admits("Basic not base64!"));
        assert!(!gate.admits(&basic("alice:pa:ss").replace("Basic", "Bearer")));
        assert!(!format!("{config:?}").contains("pa:ss"), "secrets are not printed");
    }

    /// From Bitcoin Core `test/functional/rpc_users.py`: `rt` with `cA773lm788buwYe4g4WT+05pKyNruVKjQ25x3n0DQcM=`.
    #[test]
    fn rpcauth_lines_of_the_reference_script_admit() {
        let line = "rt:93648e835a54c573682c2eb19f882535$7681e9c5b74bdd85e78166031d2058e1069b3ed7ed967c93fc63abba06f31144";
        let gate = Gate::open(&AuthConfig { rpcauth: vec![line.into()], ..AuthConfig::default() }).unwrap();
        assert!(gate.admits(&basic("rt:cA773lm788buwYe4g4WT+05pKyNruVKjQ25x3n0DQcM=")));
        assert!(!gate.admits(&basic("rt:cA773lm788buwYe4g4WT+05pKyNruVKjQ25x3n0DQcN=")));
        for bad in ["rt", "rt:salt", "rt:a$b$c", "a:b:c$d"] {
            let config = AuthConfig { rpcauth: vec![bad.into()], ..AuthConfig::default() };
            assert!(Gate::open(&config).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_cookie_belongs_to_its_owner_and_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regtest/.cookie");
        let config = AuthConfig { cookie_path: Some(path.clone()), ..AuthConfig::default() };
        let gate = Gate::open(&config).unwrap();
        let cookie = std::fs::read_to_string(&path).unwrap();
        assert!(cookie.starts_with("__cookie__:") && cookie.len() == 11 + 64);
        assert!(gate.admits(&basic(&cookie)));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
            assert_eq!(mode & 0o777, 0o600);
        }
        gate.close();
        assert!(!path.exists());
    }

    #[track_caller]
    fn check_range(range: &str, address: &str, expected: bool) {
        let range = IpRange::parse(range).expect("a range");
        assert_eq!(range.contains(address.parse().unwrap()), expected);
    }

    #[test]
    fn ranges_hold_their_addresses() {
        check_range("192.168.0.0/16", "192.168.3.4", true);
        check_range("192.168.0.0/16", "192.169.3.4", false);
        check_range("10.0.0.0/255.0.0.0", "10.9.9.9", true);
        check_range("1.2.3.4", "::ffff:1.2.3.4", true);
        check_range("0.0.0.0/0", "8.8.8.8", true);
        check_range("::/0", "8.8.8.8", false);
        check_range("fe80::/10", "fe80::1", true);
        assert!(["", "1.2.3", "1.2.3.4/33", "::/129", "x/8", "1.2.3.4/::"].map(IpRange::parse) == [None; 6]);
    }
}
