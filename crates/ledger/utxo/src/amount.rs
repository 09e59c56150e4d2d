//! Amounts of money in satoshi, and the range consensus allows them.

use std::fmt;

/// A signed number of satoshi: 10⁻⁸ of a coin.
///
/// Signed, because the wire format is (a negative output value decodes and is then refused by
/// [`crate::check::check_transaction`]). Nothing is implied about [`Amount::is_money`] until it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub i64);

impl Amount {
    /// No satoshi at all.
    pub const ZERO: Self = Self(0);
    /// Satoshi in one coin.
    pub const COIN: Self = Self(100_000_000);
    /// Bitcoin's largest legal amount: 21 million coins (Bitcoin Core `consensus/amount.h`, `MAX_MONEY`).
    pub const MONEY_MAX: Self = Self(21_000_000 * 100_000_000);

    /// The number of satoshi.
    pub const fn satoshi(self) -> i64 {
        self.0
    }

    /// Whether the amount lies in 0..=21 million coins (Bitcoin Core `MoneyRange`).
    pub const fn is_money(self) -> bool {
        self.is_money_up_to(Self::MONEY_MAX)
    }

    /// Whether the amount lies in 0..=`max`, for chains with another supply (Litecoin: 84 million coins).
    pub const fn is_money_up_to(self, max: Self) -> bool {
        self.0 >= 0 && self.0 <= max.0
    }

    /// The sum, or nothing when it overflows 64 bits.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or nothing when it overflows 64 bits.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }
}

/// Coins with eight decimals, as Bitcoin Core's RPC prints them.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let coin = Self::COIN.0.unsigned_abs();
        write!(f, "{sign}{}.{:08}", magnitude / coin, magnitude % coin)
    }
}

/// Coins with as many decimals as they need but at least two, as Bitcoin Core's `FormatMoney` writes them in reject
/// reasons.
pub fn format_money(amount: Amount) -> String {
    let mut text = amount.to_string();
    let point = text.find('.').unwrap_or(text.len());
    while text.ends_with('0') && text.len() > point + 3 {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Amount, format_money};

    #[test]
    fn amounts_print_eight_decimals() {
        assert_eq!(Amount(1).to_string(), "0.00000001");
        assert_eq!(Amount(-150_000_000).to_string(), "-1.50000000");
        assert_eq!(Amount(i64::MIN).to_string(), "-92233720368.54775808");
    }

    #[test]
    fn reject_reasons_write_two_decimals_or_more() {
        assert_eq!(format_money(Amount(5_000_000_000)), "50.00");
        assert_eq!(format_money(Amount(1)), "0.00000001");
        assert_eq!(format_money(Amount(123_400_000)), "1.234");
    }

    #[test]
    fn the_money_range_ends_at_twenty_one_million_coins() {
        assert!(Amount::ZERO.is_money() && Amount::MONEY_MAX.is_money());
        assert!(!Amount(-1).is_money() && !Amount(Amount::MONEY_MAX.0 + 1).is_money());
    }
}
