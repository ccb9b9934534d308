//! Manual pages and shell completions, from the grammar and the table of mount options.
//!
//! What is checked in under contrib/ was made by this, and a test fails when it is out of date.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::args::{Cli, GenerateCommand};
use super::error::CliError;
use super::exit::Exit;
use super::options::{IGNORED, TABLE};

/// Runs the command.
pub fn run(command: &GenerateCommand) -> Result<(), CliError> {
    let (dir, files) = match command {
        GenerateCommand::Man { dir } => (dir, manual_pages()),
        GenerateCommand::Completions { dir } => (dir, completions()),
    };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CliError::Io { action: "write", path, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    for (name, text) in files.map_err(failed(dir))? {
        let file = dir.join(name);
        fs::write(&file, text).map_err(failed(&file))?;
    }
    Ok(())
}

type Files = BTreeMap<String, Vec<u8>>;

/// `kmsfs.1`, a page per command, `mount.kmsfs.8` and `kmsd.8`.
fn manual_pages() -> io::Result<Files> {
    let mut files = Files::new();
    let mut grammar = Cli::command();
    grammar.build();
    let mut top = Vec::new();
    Man::new(grammar.clone()).render(&mut top)?;
    top.extend_from_slice(exit_codes().as_bytes());
    top.extend_from_slice(FILES.as_bytes());
    files.insert("kmsfs.1".into(), top);
    for command in grammar.get_subcommands().filter(|c| !c.is_hide_set()) {
        pages_of(command, "kmsfs", &mut files)?;
    }
    let mut kmsd = Vec::new();
    Man::new(super::kmsd::Args::command()).section("8").render(&mut kmsd)?;
    files.insert("kmsd.8".into(), kmsd);
    files.insert("mount.kmsfs.8".into(), mount_page().into_bytes());
    Ok(files)
}

fn pages_of(command: &Command, above: &str, files: &mut Files) -> io::Result<()> {
    let name = format!("{above}-{}", command.get_name());
    let mut page = Vec::new();
    // The page is called by the whole name; the usage line has it with spaces already.
    let named = command.clone().display_name(name.clone());
    Man::new(named).title(name.clone()).render(&mut page)?;
    files.insert(format!("{name}.1"), page);
    command
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
        .try_for_each(|sub| pages_of(sub, &name, files))
}

fn completions() -> io::Result<Files> {
    let mut files = Files::new();
    for (shell, file) in
        [(Shell::Bash, "kmsfs.bash"), (Shell::Zsh, "_kmsfs"), (Shell::Fish, "kmsfs.fish")]
    {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "kmsfs", &mut text);
        files.insert(file.into(), text);
    }
    Ok(files)
}

fn exit_codes() -> String {
    let mut text = String::from(".SH \"EXIT STATUS\"\n");
    for exit in Exit::ALL {
        text.push_str(&format!(
            ".TP\n\\fB{}\\fR (\\fI{}\\fR)\n{}\n",
            exit.code(),
            roff(exit.name()),
            roff(exit.meaning())
        ));
    }
    text
}

const FILES: &str = r#".SH FILES
.TP
\fI/var/lib/kmsfs\fR, \fI~/.local/share/kmsfs\fR
The embedded key service's store, of root and of other users. Without it the files of its volumes
are lost: back it up.
.TP
\fI/etc/kmsfs/NAME.toml\fR
Mounts started by \fBkmsfs@NAME.service\fR: \fIlower\fR, \fImountpoint\fR and \fIoptions\fR, as
\fBkmsfs mount \-\-config\fR reads them.
.TP
\fI/var/log/kmsfs.log\fR, \fI~/.local/state/kmsfs/kmsfs.log\fR
The log of background mounts, of root and of other users.
.SH ENVIRONMENT
.TP
\fBKMSFS_LOG\fR
What a mount logs, such as \fIdebug\fR. Keys, names and content are never logged.
.SH "SEE ALSO"
\fBmount.kmsfs\fR(8), \fBfusermount3\fR(1)
"#;

fn mount_page() -> String {
    let mut text = String::from(
        r#".TH mount.kmsfs 8 "" "kmsfs" "System administration"
.ie \n(.g .ds Aq \(aq
.el .ds Aq '
.SH NAME
mount.kmsfs \- mount an encrypted directory
.SH SYNOPSIS
\fBmount \-t kmsfs\fR \fILOWER\fR \fIMOUNTPOINT\fR [\fB\-o\fR \fIOPTIONS\fR]
.br
\fBmount.kmsfs\fR \fILOWER\fR \fIMOUNTPOINT\fR [\fB\-sfnv\fR] [\fB\-o\fR \fIOPTIONS\fR]
.SH DESCRIPTION
Called by \fBmount\fR(8) for the type \fBkmsfs\fR; \fBkmsfs mount\fR takes the same options.
\fILOWER\fR is the directory that holds the encrypted files; if it is empty, it is made a volume
first. The command returns when the mount answers, or with one line that says why there is none.
.PP
A line of \fBfstab\fR(5):
.PP
.nf
/srv/below  /srv/files  kmsfs  key=alias/files,_netdev,nofail  0  0
.fi
.SH OPTIONS
Options are separated by commas. A comma or a backslash inside a value is written with a backslash
before it. An option that is not listed here is refused by name, except with \fB\-s\fR.
"#,
    );
    for spec in TABLE {
        let value = spec.value.map(|v| format!("=\\fI{}\\fR", roff(v))).unwrap_or_default();
        text.push_str(&format!(".TP\n\\fB{}\\fR{value}\n{}\n", roff(spec.name), roff(spec.help)));
    }
    text.push_str(".PP\nAccepted and without effect: ");
    let ignored: Vec<String> = IGNORED.iter().map(|n| format!("\\fB{}\\fR", roff(n))).collect();
    text.push_str(&ignored.join(", "));
    text.push_str(
        r#", and all that begin with \fBx\-\fR, \fBX\-\fR, \fBcomment=\fR or \fBuser=\fR.
.SH "EXIT STATUS"
As \fBmount\fR(8) expects: \fB0\fR for success, \fB1\fR for a wrong call, \fB32\fR for a mount that
failed.
.SH "SEE ALSO"
\fBkmsfs\fR(1), \fBmount\fR(8), \fBfstab\fR(5)
"#,
    );
    text
}

/// Text as roff wants it: no hyphen turned into a dash, no line taken for a request.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    match escaped.chars().next() {
        Some('.' | '\'') => format!("\\&{escaped}"),
        _ => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_checked_in(dir: &str, made: Files) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(dir);
        for (name, text) in made {
            let kept = fs::read(dir.join(&name)).unwrap_or_default();
            assert!(kept == text, "contrib: {name} is out of date; run 'kmsfs generate' again");
        }
    }

    #[test]
    fn what_is_checked_in_is_current() {
        assert_checked_in("man", manual_pages().unwrap());
        assert_checked_in("completions", completions().unwrap());
    }

    #[test]
    fn every_option_is_in_the_manual() {
        let page = mount_page();
        for spec in TABLE {
            assert!(page.contains(&format!("\n\\fB{}\\fR", roff(spec.name))), "{}", spec.name);
        }
    }
}
