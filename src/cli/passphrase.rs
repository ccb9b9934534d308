//! Where passphrases come from: a terminal or a descriptor. Never an argument, never the
//! environment, where every process of the machine could read them.
//!
//! A passphrase may be asked for before the process goes to the background, and a
//! [`Secret`](crate::secret::Secret) is empty in a forked child by design. It therefore travels
//! as [`Typed`], wiped when dropped on either side of the fork.

use std::fs::File;
use std::io::{self, Read};

use zeroize::Zeroizing;

use super::error::CliError;

/// Longest passphrase, bytes.
const MAX: u64 = 4096;

/// What was typed, without the end of line.
pub type Typed = Zeroizing<Vec<u8>>;

/// Asks on the terminal.
pub fn ask(prompt: &str) -> Result<Typed, CliError> {
    let typed = rpassword::prompt_password(format!("{prompt}: "))
        .map_err(|source| CliError::Passphrase { source })?;
    checked(Zeroizing::new(typed.into_bytes()))
}

/// Asks twice for a new one.
pub fn ask_new(prompt: &str) -> Result<Typed, CliError> {
    let first = ask(prompt)?;
    let second = ask("The same again")?;
    if *first == *second { Ok(first) } else { Err(CliError::PassphrasesDiffer) }
}

/// Reads an open descriptor to its end; one line end at the end is not part of it.
pub fn from_fd(fd: i32) -> Result<Typed, CliError> {
    let failed = |source| CliError::Passphrase { source };
    // By name, so that the number stays whoever's it is.
    let mut file = File::open(format!("/proc/self/fd/{fd}")).map_err(failed)?;
    checked(read_all(&mut file).map_err(failed)?)
}

fn read_all(from: &mut impl Read) -> io::Result<Typed> {
    // One buffer of the largest size: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX + 1).unwrap_or(8192)));
    from.take(MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 4096 bytes"));
    }
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn checked(text: Typed) -> Result<Typed, CliError> {
    if text.is_empty() { Err(CliError::PassphraseEmpty) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_cut() {
        let read = |t: &str| read_all(&mut t.as_bytes()).unwrap().to_vec();
        assert_eq!(read("correct horse\n"), b"correct horse");
        assert_eq!(read("correct horse\r\n"), b"correct horse");
        assert_eq!(read(" a b \n\n"), b" a b \n");
        assert_eq!(read("x"), b"x");
        assert!(read_all(&mut vec![b'a'; 4097].as_slice()).is_err());
        assert_eq!(read_all(&mut vec![b'a'; 4096].as_slice()).unwrap().len(), 4096);
    }

    #[test]
    fn from_a_pipe_and_from_nothing() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"pass\n").unwrap();
        drop(writer);
        assert_eq!(*from_fd(reader.as_raw_fd()).unwrap(), b"pass");
        assert!(matches!(from_fd(reader.as_raw_fd()), Err(CliError::PassphraseEmpty)));
        assert!(matches!(from_fd(99_999), Err(CliError::Passphrase { .. })));
    }
}
