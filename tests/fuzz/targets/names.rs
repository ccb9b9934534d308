//! Hostile lower names, sidecars, link targets and attributes: nothing may panic, and nothing
//! opens that was not sealed.
#![no_main]

use kmsfs::crypto::Suite;
use kmsfs::format::{
    Binding, CipherName, DirKeys, FileId, FileKeys, LowerName, VolumeId, VolumeKeys, classify,
    is_name, parse_target,
};
use kmsfs::secret::Secret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (key, id) = (Secret::new([7; 32]), FileId([9; 16]));
    let dir = DirKeys::new(&key, &id);
    let (first, second) = data.split_at(data.len().min(44));

    // As a lower name, with and without a sidecar.
    let class = classify(data);
    if let Ok(name) = dir.decrypt_name(data) {
        assert!(class == LowerName::Short && is_name(&name));
        let again = dir.encrypt_name(&name).expect("a name");
        assert_eq!(again.name().as_bytes(), data);
    }
    if let Ok(name) = dir.decrypt_long(first, second) {
        assert!(is_name(&name) && classify(first) == LowerName::Long);
    }

    // As a plaintext name.
    match dir.encrypt_name(data) {
        Ok(CipherName::Short(lower)) => {
            assert!(lower.len() <= 255 && classify(lower.as_bytes()) == LowerName::Short);
            assert_eq!(dir.decrypt_name(lower.as_bytes()).expect("just sealed"), data);
        }
        Ok(CipherName::Long { name, sidecar, content }) => {
            assert_eq!(classify(name.as_bytes()), LowerName::Long);
            assert_eq!(classify(sidecar.as_bytes()), LowerName::Sidecar);
            assert_eq!(dir.decrypt_long(name.as_bytes(), &content).expect("just sealed"), data);
        }
        Err(_) => assert!(!is_name(data)),
    }

    // As a link target below, and its file.
    let volume = VolumeKeys::new(&key, &VolumeId([3; 16]));
    let binding = Binding::Name { dir: id, name: b"link" };
    let _ = parse_target(data);
    assert!(volume.open_target(binding, data, None).is_err());
    assert!(volume.open_target(binding, first, Some(second)).is_err());

    // As an attribute.
    let file = FileKeys::new(&key, Suite::Aes256GcmSiv, &id);
    assert!(file.xattr().open_xattr(first, second).is_err());
    if let Ok((name, value)) = file.xattr().seal_xattr(first, second) {
        let opened = file.xattr().open_xattr(name.as_bytes(), &value).expect("just sealed");
        assert_eq!(opened, (first.to_vec(), second.to_vec()));
    }
});
