//! [`Secret`]: bytes that must not leak by accident.
//!
//! The bytes of every secret lie in memory of their own, apart from the heap: locked (so that
//! they are never written to swap), left out of core dumps, empty in a forked child, and wiped
//! when the secret is dropped. A secret has no `Clone`, no `Display` and no serialization, and
//! its `Debug` prints a fixed text: whoever wants a copy says [`Secret::duplicate`], whoever
//! wants the bytes says [`Secret::expose`].
//!
//! Locking works by the page, so two secrets may never own the lock of one page separately:
//! dropping the first would unlock the second. Small secrets are therefore slots of an arena
//! whose pages stay locked for the life of the process; larger ones have whole pages.

mod sys;

use core::marker::PhantomData;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use sys::Region;

/// Whether every secret made so far is locked in memory. `false` once the kernel has refused a
/// lock (RLIMIT_MEMLOCK): secrets then still work, but could reach the swap device.
pub fn locked_memory_works() -> bool {
    sys::locks_work()
}

/// A value whose bytes are kept locked, wiped and unprintable.
pub struct Secret<T: Hidden> {
    region: Region,
    what: PhantomData<fn() -> T>,
}

/// What a [`Secret`] can hold: byte arrays, byte vectors and text.
pub trait Hidden: Zeroize {
    /// What [`Secret::expose`] shows.
    type View: ?Sized;

    /// The bytes to keep.
    fn bytes(&self) -> &[u8];

    /// The kept bytes, seen again as what they were.
    fn view(kept: &[u8]) -> &Self::View;
}

impl<T: Hidden> Secret<T> {
    /// Takes a value over; the place it came from is wiped. Copies that the compiler made of a
    /// moved array are out of reach: to make a secret in place, use [`Secret::new_with`].
    pub fn new(mut value: T) -> Self {
        let mut region = Region::new(value.bytes().len());
        region.bytes_mut().copy_from_slice(value.bytes());
        value.zeroize();
        Self { region, what: PhantomData }
    }

    /// The bytes themselves. Keep the borrow short, and copy nothing out of it.
    pub fn expose(&self) -> &T::View {
        T::view(self.region.bytes())
    }

    /// A second secret with the same bytes.
    pub fn duplicate(&self) -> Self {
        let mut region = Region::new(self.region.bytes().len());
        region.bytes_mut().copy_from_slice(self.region.bytes());
        Self { region, what: PhantomData }
    }

    /// Whether both hold the same bytes; takes the same time wherever they differ.
    pub fn same(&self, other: &Self) -> bool {
        self.region.bytes().ct_eq(other.region.bytes()).into()
    }
}

impl<const N: usize> Secret<[u8; N]> {
    /// Makes a secret where it will stay: `fill` gets zeros, and leaves the secret.
    pub fn new_with(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut region = Region::new(N);
        fill(region.bytes_mut().try_into().expect("the region was made N bytes long"));
        Self { region, what: PhantomData }
    }

    /// `N` bytes from the operating system's generator.
    ///
    /// # Panics
    /// If the operating system has no randomness to give; nothing may be sealed without it.
    pub fn random() -> Self {
        Self::new_with(|bytes| {
            getrandom::fill(bytes).expect("getrandom(2) does not fail once the system has booted");
        })
    }
}

impl<T: Hidden> core::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<const N: usize> Hidden for [u8; N] {
    type View = [u8; N];

    fn bytes(&self) -> &[u8] {
        self
    }

    fn view(kept: &[u8]) -> &[u8; N] {
        kept.try_into().expect("a Secret<[u8; N]> is only ever made N bytes long")
    }
}

impl Hidden for Vec<u8> {
    type View = [u8];

    fn bytes(&self) -> &[u8] {
        self
    }

    fn view(kept: &[u8]) -> &[u8] {
        kept
    }
}

impl Hidden for String {
    type View = str;

    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn view(kept: &[u8]) -> &str {
        core::str::from_utf8(kept).expect("the bytes were copied from a String")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_nothing_of_itself() {
        let secret = Secret::new([0x41u8; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:?}", Secret::new("AAAA".to_owned())), "Secret(..)");
    }

    #[test]
    fn holds_what_it_was_given() {
        assert_eq!(Secret::new([7u8; 32]).expose(), &[7u8; 32]);
        assert_eq!(Secret::new(vec![9u8; 10_000]).expose(), &[9u8; 10_000][..]);
        assert_eq!(Secret::new(Vec::<u8>::new()).expose(), &[] as &[u8]);
        assert_eq!(Secret::new("passphrase".to_owned()).expose(), "passphrase");
        let filled = Secret::<[u8; 32]>::new_with(|b| b[31] = 1);
        assert_eq!(filled.expose()[31], 1);
        assert_eq!(filled.expose()[..31], [0; 31]);
    }

    #[test]
    fn random_secrets_differ_and_duplicates_do_not() {
        let (a, b) = (Secret::<[u8; 32]>::random(), Secret::<[u8; 32]>::random());
        assert!(!a.same(&b));
        assert!(a.same(&a.duplicate()));
    }

    #[test]
    fn many_secrets_do_not_share_memory() {
        let many: Vec<_> = (0..3000u32)
            .map(|n| Secret::<[u8; 32]>::new_with(|b| b[..4].copy_from_slice(&n.to_le_bytes())))
            .collect();
        for (n, secret) in many.iter().enumerate() {
            assert_eq!(secret.expose()[..4], u32::try_from(n).unwrap().to_le_bytes());
        }
    }
}
