//! MuHash3072: one hash for a set, whatever the order (Bitcoin Core `crypto/muhash.cpp`).
//!
//! Each element becomes a number below the prime 2³⁰⁷² − 1103717 (SHA-256, stretched by ChaCha20); the set is the product
//! of its elements. Removing divides; the one slow division waits until the end.

use crate::hash::sha256;

/// 64-bit limbs of a number, lowest first.
const LIMBS: usize = 48;
/// The prime is 2³⁰⁷² minus this.
const PRIME_GAP: u64 = 1_103_717;
/// Bytes of a number.
const SIZE: usize = LIMBS * 8;

type Number = [u64; LIMBS];

const ONE: Number = {
    let mut one = [0; LIMBS];
    one[0] = 1;
    one
};

/// A hash of a set of byte strings.
#[derive(Clone)]
pub struct MuHash {
    numerator: Number,
    denominator: Number,
}

impl Default for MuHash {
    fn default() -> Self {
        Self { numerator: ONE, denominator: ONE }
    }
}

impl MuHash {
    /// The hash of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an element.
    pub fn insert(&mut self, element: &[u8]) {
        self.numerator = multiply(&self.numerator, &number_of(element));
    }

    /// Takes an element out, in whatever order.
    pub fn remove(&mut self, element: &[u8]) {
        self.denominator = multiply(&self.denominator, &number_of(element));
    }

    /// Adds all elements of another set.
    pub fn merge(&mut self, other: &Self) {
        self.numerator = multiply(&self.numerator, &other.numerator);
        self.denominator = multiply(&self.denominator, &other.denominator);
    }

    /// The hash.
    pub fn finish(&self) -> [u8; 32] {
        let quotient = multiply(&self.numerator, &inverse(&self.denominator));
        let mut bytes = [0; SIZE];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(normalized(&quotient)) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        sha256(&bytes)
    }
}

/// An element as a number.
fn number_of(element: &[u8]) -> Number {
    let stream = keystream(&sha256(element));
    let mut number = [0; LIMBS];
    for (limb, bytes) in number.iter_mut().zip(stream.chunks_exact(8)) {
        *limb = u64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes"));
    }
    number
}

/// The product, modulo the prime but not always below it.
fn multiply(a: &Number, b: &Number) -> Number {
    let mut product = [0_u64; 2 * LIMBS];
    for (offset, &left) in a.iter().enumerate() {
        let mut carry = 0;
        for (limb, &right) in product[offset..offset + LIMBS].iter_mut().zip(b) {
            (*limb, carry) = multiply_add(left, right, *limb, carry);
        }
        product[offset + LIMBS] = carry;
    }
    reduce(&product)
}

/// `left · right + addend + carry` as low and high half; it always fits.
fn multiply_add(left: u64, right: u64, addend: u64, carry: u64) -> (u64, u64) {
    let wide = u128::from(left) * u128::from(right) + u128::from(addend) + u128::from(carry);
    (wide as u64, (wide >> 64) as u64)
}

/// Folds the upper half down: 2³⁰⁷² is [`PRIME_GAP`] modulo the prime.
fn reduce(product: &[u64; 2 * LIMBS]) -> Number {
    let (low, high) = product.split_at(LIMBS);
    let mut number = [0; LIMBS];
    let mut carry = 0;
    for ((limb, &low), &high) in number.iter_mut().zip(low).zip(high) {
        (*limb, carry) = multiply_add(high, PRIME_GAP, low, carry);
    }
    while carry != 0 {
        carry = u64::from(add_small(&mut number, u128::from(carry) * u128::from(PRIME_GAP)));
    }
    number
}

/// Adds a number of two limbs; whether it carried out.
fn add_small(number: &mut Number, small: u128) -> bool {
    let mut addend = [small as u64, (small >> 64) as u64].into_iter();
    let mut carry = false;
    for limb in number {
        let next = addend.next().unwrap_or(0);
        let (sum, first) = limb.overflowing_add(next);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        *limb = sum;
        carry = first || second;
    }
    carry
}

/// The same number below the prime.
fn normalized(number: &Number) -> Number {
    let mut shifted = *number;
    // Adding the gap overflows exactly when the number is not below the prime, and leaves the difference.
    if add_small(&mut shifted, u128::from(PRIME_GAP)) { shifted } else { *number }
}

/// One divided by the number: its power to the prime minus two (Fermat), four bits at a time.
fn inverse(number: &Number) -> Number {
    if *number == ONE {
        return ONE;
    }
    let mut powers = [ONE; 16];
    for index in 1..powers.len() {
        powers[index] = multiply(&powers[index - 1], number);
    }
    // 2³⁰⁷² − gap − 2: all ones but for the lowest limb.
    let mut exponent = [u64::MAX; LIMBS];
    exponent[0] = 0_u64.wrapping_sub(PRIME_GAP + 2);
    let mut result = ONE;
    for limb in exponent.iter().rev() {
        for shift in (0..64).step_by(4).rev() {
            for _ in 0..4 {
                result = multiply(&result, &result);
            }
            result = multiply(&result, &powers[(limb >> shift & 15) as usize]);
        }
    }
    result
}

/// The first bytes of ChaCha20 under a key, nonce and counter zero.
fn keystream(key: &[u8; 32]) -> [u8; SIZE] {
    const BLOCK: usize = 64;
    let mut state = [0_u32; 16];
    state[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    for (word, bytes) in state[4..12].iter_mut().zip(key.chunks_exact(4)) {
        *word = u32::from_le_bytes(bytes.try_into().expect("chunks of four bytes"));
    }
    let mut stream = [0; SIZE];
    for block in stream.chunks_exact_mut(BLOCK) {
        let mixed = chacha_rounds(state);
        for ((bytes, mixed), first) in block.chunks_exact_mut(4).zip(mixed).zip(state) {
            bytes.copy_from_slice(&mixed.wrapping_add(first).to_le_bytes());
        }
        state[12] += 1;
    }
    stream
}

fn chacha_rounds(mut state: [u32; 16]) -> [u32; 16] {
    fn quarter(state: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
        for (left, right, mixed, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            state[left] = state[left].wrapping_add(state[right]);
            state[mixed] = (state[mixed] ^ state[left]).rotate_left(turn);
        }
    }
    for _ in 0..10 {
        for column in 0..4 {
            quarter(&mut state, [column, column + 4, column + 8, column + 12]);
        }
        for diagonal in 0..4 {
            let at = |row: usize| 4 * row + (diagonal + row) % 4;
            quarter(&mut state, [at(0), at(1), at(2), at(3)]);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::{MuHash, SIZE, keystream, multiply, normalized, number_of};
    use hex_conservative::DisplayHex as _;
    use num_bigint::BigUint;

    fn prime() -> BigUint {
        (BigUint::from(1_u8) << 3072_u32) - BigUint::from(1_103_717_u32)
    }

    fn big(number: &super::Number) -> BigUint {
        BigUint::from_bytes_le(&number.iter().flat_map(|limb| limb.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// What the definition says, without any trick.
    fn naive(inserted: &[&[u8]], removed: &[&[u8]]) -> [u8; 32] {
        let product = |elements: &[&[u8]]| {
            elements.iter().fold(BigUint::from(1_u8), |product, element| {
                let stream = keystream(&crate::hash::sha256(element));
                product * BigUint::from_bytes_le(&stream) % prime()
            })
        };
        let inverse = product(removed).modpow(&(prime() - BigUint::from(2_u8)), &prime());
        let mut bytes = (product(inserted) * inverse % prime()).to_bytes_le();
        bytes.resize(SIZE, 0);
        crate::hash::sha256(&bytes)
    }

    #[test]
    fn the_stream_is_chacha20() {
        let zero = keystream(&[0; 32]);
        assert_eq!(zero[..16].to_lower_hex_string(), "76b8e0ada0f13d90405d6ae55386bd28");
        assert_eq!(zero[64..80].to_lower_hex_string(), "9f07e7be5551387a98ba977c732d080d");
    }

    /// Bitcoin Core, `test/crypto_tests.cpp`, `muhash_tests`: elements are an index and 31 zeros.
    #[test]
    fn a_set_hashes_as_in_bitcoin_core() {
        let element = |index: u8| {
            let mut bytes = [0; 32];
            bytes[0] = index;
            bytes
        };
        let mut hash = MuHash::new();
        hash.insert(&element(0));
        hash.insert(&element(1));
        hash.remove(&element(2));
        let mut shown = hash.finish();
        shown.reverse();
        assert_eq!(
            shown.to_lower_hex_string(),
            "10d312b100cbd32ada024a6646e40d3482fcff103668d2625f10002a607d5863"
        );
    }

    #[test]
    fn the_definition_gives_the_same() {
        let elements: [&[u8]; 4] = [b"", b"a", b"bc", &[7; 100]];
        let mut hash = MuHash::new();
        for element in elements {
            hash.insert(element);
        }
        assert_eq!(hash.finish(), naive(&elements, &[]));
        hash.remove(b"x");
        assert_eq!(hash.finish(), naive(&elements, &[b"x"]));
        assert_eq!(MuHash::new().finish(), naive(&[], &[]));
    }

    #[test]
    fn order_does_not_matter_and_removing_undoes_inserting() {
        let (mut left, mut right) = (MuHash::new(), MuHash::new());
        left.insert(b"a");
        left.insert(b"b");
        left.insert(b"c");
        left.remove(b"b");
        right.insert(b"c");
        let mut other = MuHash::new();
        other.insert(b"a");
        right.merge(&other);
        assert_eq!(left.finish(), right.finish());
    }

    #[test]
    fn products_are_right_at_the_edge_of_the_prime() {
        let all = [u64::MAX; super::LIMBS];
        let mut numbers = vec![all, number_of(b"1"), number_of(b"2"), super::ONE, [0; super::LIMBS]];
        let mut prime_itself = all;
        prime_itself[0] = 0_u64.wrapping_sub(super::PRIME_GAP);
        numbers.push(prime_itself);
        for a in &numbers {
            for b in &numbers {
                assert_eq!(big(&normalized(&multiply(a, b))), big(a) * big(b) % prime());
            }
        }
    }
}
