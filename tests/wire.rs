//! The real key service behind its real listeners: embedded and over the Unix socket, as the
//! filesystem uses it.

use std::collections::HashSet;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kmsfs::client::admin::{Admin, AdminError};
use kmsfs::client::conn::KmsConn;
use kmsfs::client::embedded::Embedded;
use kmsfs::client::keys::KeyClient;
use kmsfs::client::unix::{UnixConn, UnixOptions};
use kmsfs::format::{FileId, VolumeId, WrappedKey};
use kmsfs::kms::api::{Action, IamReply, IamRequest, Reply, Request};
use kmsfs::server::dispatch::Dispatcher;
use kmsfs::server::unix::{UnixLimits, UnixServer};
use kmsfs::server::users::Names;
use kmsfs::store::open::{EmbeddedOptions, Served, open};
use kmsfs::volume::keys::{Caller, DataKeys, FreshFor, KeyContext, KeyError, Operation, Purpose};

const VOLUME: VolumeId = VolumeId([7; 16]);
/// A user without any policy of his own.
const STRANGER: Caller =
    Caller::User { uid: 4_000_000_123, gid: 5, pid: 0, operation: Operation::Read };

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The user that runs the test, who is the administrator.
fn me() -> Caller {
    Caller::User { uid: uid(), gid: 0, pid: std::process::id(), operation: Operation::Read }
}

struct World {
    dir: tempfile::TempDir,
    served: Option<Served>,
    server: Option<UnixServer>,
    trusted: HashSet<u32>,
    administrator: String,
}

impl World {
    /// A service on a socket, which believes this process to be a filesystem or not.
    fn new(trusted: bool) -> World {
        let trusted = trusted.then(uid).into_iter().collect();
        let administrator = Names::default().of(uid());
        let dir = tempfile::tempdir().unwrap();
        let mut world = World { dir, served: None, server: None, trusted, administrator };
        world.start();
        world
    }

    fn start(&mut self) {
        let store = self.dir.path().join("store");
        let served = open(&EmbeddedOptions::new(&store, &self.administrator)).unwrap();
        let dispatcher = Dispatcher::new(Arc::clone(served.service()), self.trusted.clone());
        let listener = UnixListener::bind(self.dir.path().join("socket")).unwrap();
        let limits = UnixLimits::default();
        self.server = Some(UnixServer::start(listener, Arc::new(dispatcher), limits).unwrap());
        self.served = Some(served);
    }

    fn stop(&mut self) {
        std::fs::remove_file(self.dir.path().join("socket")).unwrap();
        self.server.take().unwrap().stop();
        self.served = None;
    }

    fn embedded(&self) -> Arc<dyn KmsConn> {
        Arc::new(Embedded::new(Arc::clone(self.served.as_ref().unwrap().service())))
    }

    fn unix(&self) -> Arc<dyn KmsConn> {
        Arc::new(UnixConn::open(UnixOptions::new(self.dir.path().join("socket"))).unwrap())
    }
}

fn call(admin: &Admin, action: Action, json: &str) -> Result<Reply, AdminError> {
    admin.call(Request::from_json(action, json.as_bytes()).unwrap())
}

fn create_key(admin: &Admin) -> String {
    match call(admin, Action::CreateKey, "{}").unwrap() {
        Reply::CreateKey(reply) => reply.key_metadata.key_id,
        other => panic!("{other:?}"),
    }
}

fn of_file(id: FileId) -> KeyContext {
    KeyContext { volume: VOLUME, purpose: Purpose::File(id) }
}

/// What a filesystem does all day, over one way to reach the service.
fn daily_use(conn: &Arc<dyn KmsConn>) {
    let admin = Admin::new(Arc::clone(conn));
    let keys = KeyClient::new(Arc::clone(conn)).unwrap();
    let managed = admin.managed_key().unwrap();
    assert_eq!(admin.managed_key().unwrap(), managed, "made once");
    assert_eq!(admin.resolve("alias/aws/kmsfs").unwrap(), managed);

    // Through the filesystem every local user may use the managed key.
    let made = keys.generate(STRANGER, &managed, VOLUME, FreshFor::File).unwrap();
    let context = of_file(made.id);
    let again = keys.unwrap(STRANGER, &made.wrapped, &context).unwrap();
    assert_eq!(again.expose(), made.key.expose());
    assert_eq!(keys.unwrap(me(), &made.wrapped, &context).unwrap().expose(), made.key.expose());
    keys.authorize(STRANGER, &made.wrapped, &context).unwrap();

    // Bound to its place.
    let elsewhere = of_file(FileId([9; 16]));
    assert_eq!(keys.unwrap(STRANGER, &made.wrapped, &elsewhere).unwrap_err(), KeyError::Corrupt);
    let as_directory = KeyContext { purpose: Purpose::Directory(made.id), ..context };
    assert_eq!(keys.unwrap(me(), &made.wrapped, &as_directory).unwrap_err(), KeyError::Corrupt);
    let mut bent = made.wrapped.blob.clone();
    *bent.last_mut().unwrap() ^= 1;
    let bent = WrappedKey { blob: bent, ..made.wrapped.clone() };
    assert_eq!(keys.unwrap(STRANGER, &bent, &context).unwrap_err(), KeyError::Corrupt);
    let nonsense = WrappedKey { key_id: "no id".into(), ..made.wrapped.clone() };
    assert_eq!(keys.unwrap(STRANGER, &nonsense, &context).unwrap_err(), KeyError::Corrupt);

    // The filesystem has directories and the volume, and for files it acts for a user.
    let directory = keys.generate(Caller::Service, &managed, VOLUME, FreshFor::Directory).unwrap();
    let place = KeyContext { volume: VOLUME, purpose: Purpose::Directory(directory.id) };
    keys.unwrap(Caller::Service, &directory.wrapped, &place).unwrap();
    let volume = keys.generate(Caller::Service, &managed, VOLUME, FreshFor::Volume).unwrap();
    let place = KeyContext { volume: VOLUME, purpose: Purpose::Volume };
    keys.unwrap(Caller::Service, &volume.wrapped, &place).unwrap();
    let refused = keys.unwrap(Caller::Service, &made.wrapped, &context);
    assert_eq!(refused.unwrap_err(), KeyError::Denied);

    // A key of one's own: its account decides by identity policies, and strangers have none.
    let own = create_key(&admin);
    let made = keys.generate(me(), &own, VOLUME, FreshFor::File).unwrap();
    let context = of_file(made.id);
    let denied = keys.generate(STRANGER, &own, VOLUME, FreshFor::File);
    assert_eq!(denied.unwrap_err(), KeyError::Denied);
    assert_eq!(keys.unwrap(STRANGER, &made.wrapped, &context).unwrap_err(), KeyError::Denied);

    // Disabled for one is disabled for all, what was remembered included.
    keys.unwrap(me(), &made.wrapped, &context).unwrap();
    let epoch = keys.epoch();
    let this = format!(r#"{{"KeyId":"{own}"}}"#);
    call(&admin, Action::DisableKey, &this).unwrap();
    let since = Instant::now();
    while keys.epoch() == epoch {
        assert!(since.elapsed() < Duration::from_secs(1), "the change is heard of within a second");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(keys.unwrap(me(), &made.wrapped, &context).unwrap_err(), KeyError::Unusable);
    assert_eq!(keys.authorize(me(), &made.wrapped, &context), Err(KeyError::Unusable));
    let refused = keys.generate(me(), &own, VOLUME, FreshFor::File);
    assert_eq!(refused.unwrap_err(), KeyError::Unusable);
    call(&admin, Action::EnableKey, &this).unwrap();
    let again = keys.unwrap(me(), &made.wrapped, &context).unwrap();
    assert_eq!(again.expose(), made.key.expose());
    keys.report_tamper(me(), &context, "object", "a test of the report");
}

#[test]
fn the_service_in_this_process() {
    let world = World::new(false);
    daily_use(&world.embedded());
}

#[test]
fn the_service_behind_a_socket() {
    let world = World::new(true);
    daily_use(&world.unix());
}

#[test]
fn a_peer_that_is_no_service_is_himself_whatever_he_says() {
    let world = World::new(false);
    let conn = world.unix();
    let admin = Admin::new(Arc::clone(&conn));
    let keys = KeyClient::new(conn).unwrap();
    let own = create_key(&admin);
    for other in
        [STRANGER, Caller::User { uid: uid() + 1, gid: 0, pid: 0, operation: Operation::Read }]
    {
        let refused = keys.generate(other, &own, VOLUME, FreshFor::File);
        assert_eq!(refused.unwrap_err(), KeyError::Denied, "{other:?}");
    }
    let made = keys.generate(me(), &own, VOLUME, FreshFor::File).unwrap();
    keys.unwrap(me(), &made.wrapped, &of_file(made.id)).unwrap();
    // As the filesystem he is himself too: with his own rights, and without the ones that the
    // managed key gives to whoever comes through the filesystem.
    keys.unwrap(Caller::Service, &made.wrapped, &of_file(made.id)).unwrap();
    let managed = admin.managed_key().unwrap();
    for caller in [me(), Caller::Service] {
        let refused = keys.generate(caller, &managed, VOLUME, FreshFor::File);
        assert_eq!(refused.unwrap_err(), KeyError::Denied, "{caller:?}");
    }
}

#[test]
fn calls_wait_while_the_service_restarts() {
    let mut world = World::new(true);
    let conn = world.unix();
    let admin = Admin::new(Arc::clone(&conn));
    let keys = KeyClient::new(conn).unwrap();
    let own = create_key(&admin);
    let made = keys.generate(me(), &own, VOLUME, FreshFor::File).unwrap();
    keys.unwrap(me(), &made.wrapped, &of_file(made.id)).unwrap();
    world.stop();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let since = Instant::now();
            let key = keys.unwrap(me(), &made.wrapped, &of_file(made.id)).unwrap();
            assert_eq!(key.expose(), made.key.expose());
            since.elapsed()
        });
        std::thread::sleep(Duration::from_millis(500));
        assert!(!waiting.is_finished(), "what is remembered rests meanwhile");
        world.start();
        let waited = waiting.join().unwrap();
        assert!(waited < Duration::from_secs(5), "{waited:?}");
    });
}

#[test]
fn access_keys_are_for_administrators_to_make() {
    let world = World::new(false);
    let admin = Admin::new(world.unix());
    let ask = || admin.iam(IamRequest::CreateAccessKey { user: "anna".into() });
    let IamReply::AccessKeyCreated { access_key_id, secret_access_key } = ask().unwrap() else {
        panic!("another reply")
    };
    assert!(access_key_id.starts_with("AKIA"));
    assert_eq!(secret_access_key.expose().len(), 40);
    let listed = admin.iam(IamRequest::ListAccessKeys { user: "anna".into() }).unwrap();
    assert!(matches!(listed, IamReply::AccessKeys(keys) if keys.len() == 1));

    let mut world = world;
    world.stop();
    world.administrator = "somebody-else".into();
    world.start();
    match ask().unwrap_err() {
        AdminError::Failed(error) => assert_eq!(error.name(), "AccessDeniedException"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_path_is_asked_for_where_a_policy_goes_by_it_and_believed_of_services_alone() {
    let me_arn = format!("arn:aws:iam::111122223333:user/{}", Names::default().of(uid()));
    for trusted in [true, false] {
        let world = World::new(trusted);
        let conn = world.unix();
        let admin = Admin::new(Arc::clone(&conn));
        let keys = KeyClient::new(conn).unwrap();
        let own = create_key(&admin);
        let made = keys.generate(me(), &own, VOLUME, FreshFor::File).unwrap();
        let context = of_file(made.id);
        keys.unwrap(me(), &made.wrapped, &context).unwrap();
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": me_arn}, "Action": "kms:*", "Resource": "*"},
            {"Effect": "Deny", "Principal": "*", "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
             "Resource": "*", "Condition": {"StringNotLike": {"kmsfs:Path": "/a/*"}}},
        ]});
        let put = serde_json::json!({"KeyId": own, "Policy": policy.to_string()});
        let epoch = keys.epoch();
        call(&admin, Action::PutKeyPolicy, &put.to_string()).unwrap();
        while keys.epoch() == epoch {
            std::thread::sleep(Duration::from_millis(1));
        }
        let plainly = keys.unwrap(me(), &made.wrapped, &context).map(drop);
        let at = |path| keys.unwrap_at(me(), &made.wrapped, &context, path).map(drop);
        if trusted {
            assert_eq!(plainly, Err(KeyError::PathWanted));
            assert_eq!(at(Some("/a/f")), Ok(()));
            assert_eq!(at(Some("/b/f")), Err(KeyError::Denied));
            assert_eq!(at(None), Err(KeyError::Denied));
            assert_eq!(at(Some("/a/f")), Ok(()));
            let long = format!("/a/{}", "x".repeat(1 << 15));
            assert_eq!(at(Some(&long)), Err(KeyError::Denied));
            let fresh = |path| keys.generate_at(me(), &own, VOLUME, FreshFor::File, path);
            assert_eq!(fresh(Some("/b/f")).unwrap_err(), KeyError::Denied);
            assert!(fresh(Some("/a/f")).is_ok());
            assert!(fresh(Some("/a/g")).is_ok());
            let plain = keys.generate(me(), &own, VOLUME, FreshFor::File);
            assert_eq!(plain.unwrap_err(), KeyError::PathWanted);
        } else {
            // He says what he likes: it is as if he had said nothing.
            assert_eq!(plainly, Err(KeyError::Denied));
            assert_eq!(at(Some("/a/f")), Err(KeyError::Denied));
        }
    }
}
