//! `kmsfs init LOWER`: makes an empty directory a volume.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::args::InitArgs;
use super::config::{ServicePlan, directory};
use super::error::CliError;
use super::out::Out;
use super::service::{KeyService, Use};
use super::volume::{Lower, look, refused};
use crate::volume::{CreateOptions, Volume};

#[derive(Serialize)]
struct Made {
    lower: PathBuf,
    volume_id: String,
    key_id: String,
    suite: String,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "made {} volume {} under key {}",
            self.lower.display(),
            self.volume_id,
            self.key_id
        )
    }
}

/// Runs the command.
pub fn run(args: InitArgs, out: Out) -> Result<(), CliError> {
    let plan = ServicePlan::from_args(args.service)?;
    let lower = directory("open lower directory", &args.lower)?;
    match look(&lower)? {
        Lower::Empty => {}
        Lower::Volume => return Err(CliError::AlreadyVolume { path: lower }),
        Lower::Other => return Err(CliError::NotEmpty { path: lower }),
    }
    let typed = plan.ask()?;
    let service = KeyService::open(&plan, typed, Use::Command)?;
    if service.made_store() {
        out.note(format!("made {plan}; back it up"));
    }
    let cmk = service.key_id(args.key.as_deref())?;
    let suite = args.suite.unwrap_or_default();
    let keys = service.data_keys()?;
    let options = CreateOptions { cmk: cmk.clone(), suite };
    let id = Volume::init(&lower, &*keys, &options).map_err(|e| refused(&lower, e))?;
    // Without it a version could be destroyed that the volume was made under.
    super::rewrap::tell_of(&*keys, id, &lower, [(cmk.clone(), 0)].into(), None)?;
    out.result(&Made { lower, volume_id: id.to_string(), key_id: cmk, suite: suite.to_string() });
    Ok(())
}
