//! Numbers as Bitcoin Core writes them: amounts with eight decimals, doubles with sixteen digits.
//!
//! The workspace builds `serde_json` with arbitrary precision, so a number keeps the digits it is given.

use serde_json::{Number, Value};

/// A number of satoshi as coins with eight decimals (Bitcoin Core `ValueFromAmount`).
pub(crate) fn amount(satoshi: i64) -> Value {
    let magnitude = satoshi.unsigned_abs();
    let sign = if satoshi < 0 { "-" } else { "" };
    number(format!("{sign}{}.{:08}", magnitude / 100_000_000, magnitude % 100_000_000))
}

/// A double with sixteen significant digits, as C's `%.16g` writes it (Bitcoin Core `UniValue::setFloat`).
pub(crate) fn double(value: f64) -> Value {
    number(shortest_general(value))
}

fn number(text: String) -> Value {
    Value::Number(Number::from_string_unchecked(text))
}

const SIGNIFICANT_DIGITS: i32 = 16;

fn shortest_general(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".into();
    }
    let scientific = format!("{value:.15e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format always has an exponent");
    let exponent: i32 = exponent.parse().expect("the format's exponent is a number");
    if (-4..SIGNIFICANT_DIGITS).contains(&exponent) {
        let decimals = (SIGNIFICANT_DIGITS - 1 - exponent) as usize;
        return trimmed(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs())
}

fn trimmed(decimal: &str) -> &str {
    if decimal.contains('.') { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal }
}

/// A decimal number with at most `decimals` decimals, as an integer of the smallest unit
/// (Bitcoin Core `ParseFixedPoint`): `1`, `0.5`, `-3.25`, `1e-3`.
pub(crate) fn parse_fixed_point(text: &str, decimals: u32) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    let empty_fraction = mantissa.contains('.') && fraction.is_empty();
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || has_leading_zero || empty_fraction {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    let dropped = (digits.len() - kept.len()) as i32;
    let scale = exponent.checked_add(decimals as i32)?.checked_sub(fraction.len() as i32)? + dropped;
    if kept.trim_start_matches('0').is_empty() {
        return Some(0);
    }
    let unit = 10_i64.checked_pow(u32::try_from(scale).ok()?)?;
    let magnitude = kept.parse::<i64>().ok()?.checked_mul(unit)?;
    (magnitude < 1_000_000_000_000_000_000).then_some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_double(value: f64, expected: &str) {
        assert_eq!(double(value).to_string(), expected);
    }

    #[test]
    fn doubles_look_like_those_of_the_reference_node() {
        check_double(4.656_542_373_906_925e-10, "4.656542373906925e-10");
        check_double(1.0, "1");
        check_double(0.0, "0");
        check_double(129_699_156_960_680.5, "129699156960680.5");
        check_double(0.001_126_515_290_697_187, "0.001126515290697187");
        check_double(1e21, "1e+21");
        check_double(0.999_999_999_999_999_9, "0.9999999999999999");
    }

    #[test]
    fn amounts_have_eight_decimals() {
        assert_eq!(amount(5_000_000_000).to_string(), "50.00000000");
        assert_eq!(amount(-1).to_string(), "-0.00000001");
    }

    #[track_caller]
    fn check_fixed_point(text: &str, expected: Option<i64>) {
        assert_eq!(parse_fixed_point(text, 8), expected, "{text}");
    }

    #[test]
    fn amounts_are_read_as_exact_decimals() {
        check_fixed_point("0.1", Some(10_000_000));
        check_fixed_point("21000000", Some(2_100_000_000_000_000));
        check_fixed_point("1e-8", Some(1));
        check_fixed_point("0.00000001000", Some(1));
        check_fixed_point("0.000000001", None);
        check_fixed_point("01", None);
        check_fixed_point("1.", None);
        check_fixed_point(".5", None);
        check_fixed_point("-0.5", Some(-50_000_000));
        check_fixed_point("1e400000000000", None);
        check_fixed_point("99999999999", None);
        check_fixed_point("", None);
    }
}
