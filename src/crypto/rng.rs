//! Randomness: the operating system's, drawn once per request.
//!
//! There is no generator of our own whose state a fork, a snapshot or a cloned machine could
//! repeat. The cost of the system call is shared by asking for all nonces of a request at once.

/// `N` random bytes.
///
/// # Panics
/// If the operating system has no randomness to give; nothing may be sealed without it.
pub fn random_array<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// `n` random 16-byte nonces by one system call.
///
/// # Panics
/// As [`random_array`].
pub fn random_nonces(n: usize) -> Vec<[u8; 16]> {
    let mut nonces = vec![[0; 16]; n];
    fill(nonces.as_flattened_mut());
    nonces
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("getrandom(2) does not fail once the system has booted");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_are_all_different() {
        let mut nonces = random_nonces(1000);
        nonces.sort_unstable();
        nonces.dedup();
        assert_eq!(nonces.len(), 1000);
        assert_ne!(random_array::<16>(), random_array::<16>());
    }
}
