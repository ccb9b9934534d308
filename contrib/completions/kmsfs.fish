# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kmsfs_global_optspecs
    string join \n json h/help V/version
end

function __fish_kmsfs_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kmsfs_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kmsfs_using_subcommand
    set -l cmd (__fish_kmsfs_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kmsfs -n "__fish_kmsfs_needs_command" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "init" -d 'Make an empty directory an encrypted volume'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "mount" -d 'Mount a volume'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "umount" -d 'Unmount a volume and wait until all of it is written'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "info" -d 'Tell what a file is sealed with'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "fsck" -d 'Check a volume that is not mounted'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "rewrap" -d 'Carry a rotation through: every header to the newest version of its key'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "reencrypt" -d 'Put files or whole trees of a mount under another key, by their headers alone'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "rekey" -d 'Give files of a mount fresh data keys, and seal their content anew'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "doctor" -d 'Tell whether this machine can mount, and what a lower filesystem can do for a volume'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "key" -d 'Customer master keys'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "alias" -d 'Names of keys'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "grant" -d 'Grants: rights on a key beside its policy'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "tag" -d 'Labels of keys'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "policy" -d 'Ask policies who may do what, and test them'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "iam" -d 'Users and access keys of the AWS protocol'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "slot" -d 'Ways to unlock the embedded key store'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "keystore" -d 'The key store as a whole: its copies, and backups of it'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "audit" -d 'The audit trail'
complete -c kmsfs -n "__fish_kmsfs_needs_command" -f -a "generate" -d 'Manual pages and shell completions'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand init" -l key -d 'Key id, ARN or alias to seal it under. Default: alias/aws/kmsfs, made when missing' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand init" -l suite -d 'aes-256-gcm-siv (default) or xchacha20-poly1305' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand init" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand init" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand init" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand init" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand init" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand init" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand init" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand mount" -s o -d 'Mount options, separated by commas; mount.kmsfs(8) lists them' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand mount" -l config -d 'Take lower directory, mount point and options from this TOML file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand mount" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand mount" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand mount" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand mount" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand mount" -s f -l foreground -d 'Stay in the foreground and log to standard error'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand mount" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand mount" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand mount" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand umount" -s l -l lazy -d 'Detach it now although it is in use; it ends when the last user has gone'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand umount" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand umount" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand umount" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand info" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand info" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand info" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand fsck" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand fsck" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand fsck" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand fsck" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand fsck" -l data -d 'Read and authenticate all data too'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand fsck" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand fsck" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand fsck" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -l limit -d 'Headers per second, at most; 5000 or 5000/s' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -l register -d 'Change nothing: count the headers, and have the key service know of the volume. For backups, which keep what they need from being destroyed by that'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -a "status" -d 'Tell how far it has come, and what could not be re-wrapped'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -a "pause" -d 'Stop until it is resumed, over unmounts too'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -a "resume" -d 'Go on'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and not __fish_seen_subcommand_from status pause resume limit" -a "limit" -d 'Re-wrap that many headers per second at most; 0 for no limit'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from status" -l wait -d 'Stay until all headers are under the newest versions, with a progress bar'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from status" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from pause" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from pause" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from resume" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from resume" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from limit" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from limit" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rewrap; and __fish_seen_subcommand_from limit" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand reencrypt" -l to -d 'Key id, ARN or alias/NAME' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand reencrypt" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand reencrypt" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand reencrypt" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rekey" -l only -d 'Only files whose id is the last word of a line in here, as `kmsfs key compromise` writes them' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rekey" -l deep -d 'Seal the content anew; there is no other way, as every file has one data key'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rekey" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rekey" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand rekey" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand doctor" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "create" -d 'Make a key'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "list" -d 'List the keys'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "describe" -d 'Show a key'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "enable" -d 'Let a key be used again'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "disable" -d 'Stop all use of a key at once, in mounts too'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "alias" -d 'Give a key a name: alias/NAME'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "set-default" -d 'Put a directory of a mount under a key: what is made below it goes under that one too'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "usage" -d 'Tell how many headers are under which version of a key, by volume'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "retire-version" -d 'Destroy a version of a key for good, once no volume needs it any more'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "compromise" -d 'Stop a version of a key that somebody else may have, and list what somebody could read'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "delete" -d 'Schedule the deletion of a key: after the waiting time, what is under it opens never again'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "forget-volume" -d 'Have the key service forget a volume that is no more'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "get-policy" -d 'Print a key\'s policy'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and not __fish_seen_subcommand_from create list describe enable disable alias set-default usage retire-version compromise delete forget-volume get-policy put-policy" -f -a "put-policy" -d 'Replace a key\'s policy'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from create" -l description -d 'What it is for, in a few words' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from create" -l alias -d 'A name for it: alias/NAME' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from create" -l policy -d 'Its key policy, a JSON file. Default: the account\'s administrators decide' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from create" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from create" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from create" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from create" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from create" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from list" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from list" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from list" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from list" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from list" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from describe" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from describe" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from describe" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from describe" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from describe" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from describe" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from describe" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from enable" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from enable" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from enable" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from enable" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from enable" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from enable" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from disable" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from disable" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from disable" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from disable" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from disable" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from disable" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from alias" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from alias" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from alias" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from alias" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from alias" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from alias" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from alias" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from set-default" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from set-default" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from set-default" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from usage" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from usage" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from usage" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from usage" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from usage" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from usage" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from usage" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from retire-version" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from retire-version" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from retire-version" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from retire-version" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from retire-version" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from retire-version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from retire-version" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from compromise" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from compromise" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from compromise" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from compromise" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from compromise" -l version -d 'Number of the version. Without it nothing is marked, and only the list is printed' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from compromise" -l by -d 'List the files that this user could read: a login name, or an ARN' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from compromise" -l since -d 'From this time on: 2026-11-28 or 2026-11-28T09:00:00Z' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from compromise" -l audit -d 'Directory of the audit trail. Default: that of the embedded key store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from compromise" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from compromise" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from delete" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from delete" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from delete" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from delete" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from delete" -l days -d 'Waiting time, 7 to 30 days' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from delete" -l force -d 'Although there are files that need it'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from delete" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from delete" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from forget-volume" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from forget-volume" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from forget-volume" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from forget-volume" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from forget-volume" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from forget-volume" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from forget-volume" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from get-policy" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from get-policy" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from get-policy" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from get-policy" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from get-policy" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from get-policy" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from get-policy" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from put-policy" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from put-policy" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from put-policy" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from put-policy" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from put-policy" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from put-policy" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand key; and __fish_seen_subcommand_from put-policy" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and not __fish_seen_subcommand_from create update delete list" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and not __fish_seen_subcommand_from create update delete list" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and not __fish_seen_subcommand_from create update delete list" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and not __fish_seen_subcommand_from create update delete list" -f -a "create" -d 'Give a key a name'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and not __fish_seen_subcommand_from create update delete list" -f -a "update" -d 'Point a name at another key'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and not __fish_seen_subcommand_from create update delete list" -f -a "delete" -d 'Take a name away; the key stays'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and not __fish_seen_subcommand_from create update delete list" -f -a "list" -d 'List the names, and the keys that they are of'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from create" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from create" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from create" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from create" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from create" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from update" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from update" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from update" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from update" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from update" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from update" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from update" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from delete" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from delete" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from delete" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from delete" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from delete" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from delete" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from list" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from list" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from list" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from list" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from list" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand alias; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and not __fish_seen_subcommand_from create list revoke" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and not __fish_seen_subcommand_from create list revoke" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and not __fish_seen_subcommand_from create list revoke" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and not __fish_seen_subcommand_from create list revoke" -f -a "create" -d 'Let somebody use a key, beside its policy'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and not __fish_seen_subcommand_from create list revoke" -f -a "list" -d 'List the grants on a key'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and not __fish_seen_subcommand_from create list revoke" -f -a "revoke" -d 'End a grant at once, in mounts too'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l to -d 'ARN of whom it allows' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l allow -d 'What it allows: Decrypt, Encrypt, GenerateDataKey, DescribeKey ... Repeat it, or separate them by commas' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l for -d 'When it ends by itself: a number with s, m, h or d, as in 90m or 7d' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l context -d 'Only where the encryption context has this pair; repeat it for further ones' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l retiring -d 'ARN of who may end it, beside those who manage the key' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l name -d 'A name; asking again with the same name and the same rest finds the same grant' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from list" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from list" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from list" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from list" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from list" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from revoke" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from revoke" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from revoke" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from revoke" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from revoke" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand grant; and __fish_seen_subcommand_from revoke" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and not __fish_seen_subcommand_from set remove list" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and not __fish_seen_subcommand_from set remove list" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and not __fish_seen_subcommand_from set remove list" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and not __fish_seen_subcommand_from set remove list" -f -a "set" -d 'Label a key; a label of the same name is replaced'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and not __fish_seen_subcommand_from set remove list" -f -a "remove" -d 'Take labels away'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and not __fish_seen_subcommand_from set remove list" -f -a "list" -d 'List the labels of a key'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from set" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from set" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from set" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from set" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from set" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from set" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from remove" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from remove" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from remove" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from remove" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from remove" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from remove" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from list" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from list" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from list" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from list" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from list" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand tag; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and not __fish_seen_subcommand_from explain simulate test" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and not __fish_seen_subcommand_from explain simulate test" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and not __fish_seen_subcommand_from explain simulate test" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and not __fish_seen_subcommand_from explain simulate test" -f -a "explain" -d 'Tell whether a user may do something, and which statement decides'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and not __fish_seen_subcommand_from explain simulate test" -f -a "simulate" -d 'The same with another key policy, not yet in force, in place of the key\'s own'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and not __fish_seen_subcommand_from explain simulate test" -f -a "test" -d 'Run policy unit tests: a file with one JSON object per line'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l user -d 'Login name, or the ARN of a user, role session or account root' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l operation -d 'What is done in the mount' -r -f -a "read\t'Open a file for reading, or list a directory'
write\t'Open a file for writing'
list\t'List a directory'
create\t'Make something in a directory'"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l action -d 'The action: kms:Decrypt and the like' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l key -d 'Key id, ARN or alias/NAME' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l context -d 'A pair of the encryption context; may be given several times' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l condition -d 'A further condition key of the request, such as kmsfs:SystemdUnit=x.service' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l direct -d 'As if asked by the AWS protocol and not through a mount'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from explain" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l user -d 'Login name, or the ARN of a user, role session or account root' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l operation -d 'What is done in the mount' -r -f -a "read\t'Open a file for reading, or list a directory'
write\t'Open a file for writing'
list\t'List a directory'
create\t'Make something in a directory'"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l action -d 'The action: kms:Decrypt and the like' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l key -d 'Key id, ARN or alias/NAME' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l context -d 'A pair of the encryption context; may be given several times' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l condition -d 'A further condition key of the request, such as kmsfs:SystemdUnit=x.service' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l direct -d 'As if asked by the AWS protocol and not through a mount'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from simulate" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from test" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand policy; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "put-policy" -d 'Attach a policy to a user or role, replacing one of the same name'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "list-policies" -d 'List the policies of a user or role'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "delete-policy" -d 'Detach a policy from a user or role'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "create-access-key" -d 'Make an access key for a user. Its secret is printed once'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "list-access-keys" -d 'List a user\'s access keys'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "delete-access-key" -d 'Delete an access key'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "create-user" -d 'Make a user'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "list-users" -d 'List the users of an account'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "delete-user" -d 'Delete a user with its policies and access keys'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "create-role" -d 'Make a role, or let others assume one that has been given policies'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "put-trust" -d 'Replace the trust policy of a role'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "list-roles" -d 'List the roles of an account, with who may assume them'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "delete-role" -d 'Delete a role with its policies. Its sessions end'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "create-account" -d 'Make an account: one more tenant, strictly apart from the others'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "list-accounts" -d 'List the accounts'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and not __fish_seen_subcommand_from put-policy list-policies delete-policy create-access-key list-access-keys delete-access-key create-user list-users delete-user create-role put-trust list-roles delete-role create-account list-accounts delete-account" -f -a "delete-account" -d 'Delete an account with its users and roles; it must have no keys'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-policy" -l user -d 'The user\'s name' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-policy" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-policy" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-policy" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-policy" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-policy" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-policy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-policy" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-policies" -l user -d 'The user\'s name' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-policies" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-policies" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-policies" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-policies" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-policies" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-policies" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-policies" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-policy" -l user -d 'The user\'s name' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-policy" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-policy" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-policy" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-policy" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-policy" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-policy" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-policy" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-access-key" -l user -d 'The user\'s name' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-access-key" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-access-key" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-access-key" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-access-key" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-access-key" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-access-key" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-access-key" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-access-keys" -l user -d 'The user\'s name' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-access-keys" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-access-keys" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-access-keys" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-access-keys" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-access-keys" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-access-keys" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-access-keys" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-access-key" -l user -d 'The user\'s name' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-access-key" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-access-key" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-access-key" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-access-key" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-access-key" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-access-key" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-access-key" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-user" -l user -d 'The user\'s name' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-user" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-user" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-user" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-user" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-user" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-user" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-user" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-users" -l account -d 'Twelve digits; the service\'s own account when absent' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-users" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-users" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-users" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-users" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-users" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-users" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-users" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-user" -l user -d 'The user\'s name' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-user" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-user" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-user" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-user" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-user" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-user" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-user" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-role" -l trust -d 'Its trust policy, which says who may assume it: a JSON file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-role" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-role" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-role" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-role" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-role" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-role" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-role" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-trust" -l trust -d 'The trust policy: a JSON file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-trust" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-trust" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-trust" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-trust" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-trust" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-trust" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from put-trust" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-roles" -l account -d 'Twelve digits; the service\'s own account when absent' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-roles" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-roles" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-roles" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-roles" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-roles" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-roles" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-roles" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-role" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-role" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-role" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-role" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-role" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-role" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-role" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-account" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-account" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-account" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-account" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-account" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-account" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from create-account" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-accounts" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-accounts" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-accounts" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-accounts" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-accounts" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-accounts" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from list-accounts" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-account" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-account" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-account" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-account" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-account" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-account" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand iam; and __fish_seen_subcommand_from delete-account" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and not __fish_seen_subcommand_from list add remove" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and not __fish_seen_subcommand_from list add remove" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and not __fish_seen_subcommand_from list add remove" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and not __fish_seen_subcommand_from list add remove" -f -a "list" -d 'List the ways to unlock the store'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and not __fish_seen_subcommand_from list add remove" -f -a "add" -d 'Add a way to unlock the store'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and not __fish_seen_subcommand_from list add remove" -f -a "remove" -d 'Remove a way to unlock the store. The last one cannot be removed'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from list" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from list" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from list" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from list" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from list" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from add" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from add" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from add" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from add" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from add" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from add" -f -a "passphrase" -d 'A passphrase, typed twice or read from a descriptor'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from add" -f -a "key-file" -d 'A key file; a new random one is made if the file is not there'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from remove" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from remove" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from remove" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from remove" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from remove" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand slot; and __fish_seen_subcommand_from remove" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and not __fish_seen_subcommand_from verify backup restore" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and not __fish_seen_subcommand_from verify backup restore" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and not __fish_seen_subcommand_from verify backup restore" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and not __fish_seen_subcommand_from verify backup restore" -f -a "verify" -d 'Check every record of every copy. Changes nothing'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and not __fish_seen_subcommand_from verify backup restore" -f -a "backup" -d 'Write a checked copy of the store to another directory. The key file is not part of it: keep that elsewhere'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and not __fish_seen_subcommand_from verify backup restore" -f -a "restore" -d 'Make the store of a backup, mirrors included. It is checked first'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from verify" -l mirror -d 'A further copy of the store. Repeat it for each' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from verify" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from verify" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from verify" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from verify" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from verify" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from backup" -l to -d 'Where to; no store may be there' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from backup" -l mirror -d 'A further copy of the store. Repeat it for each' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from backup" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from backup" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from backup" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from backup" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from backup" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from backup" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from backup" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from restore" -l from -d 'The directory of the backup' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from restore" -l mirror -d 'A further copy of the store. Repeat it for each' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from restore" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from restore" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from restore" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from restore" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from restore" -l replace -d 'Replace the store that is there. What was done since the backup is lost with it'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from restore" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand keystore; and __fish_seen_subcommand_from restore" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and not __fish_seen_subcommand_from verify" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and not __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and not __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and not __fish_seen_subcommand_from verify" -f -a "verify" -d 'Check the whole trail: nothing changed, cut, added or missing'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and __fish_seen_subcommand_from verify" -l kms -d 'Use the key service at this address instead of the embedded one' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and __fish_seen_subcommand_from verify" -l keystore -d 'Directory of the embedded key service\'s store' -r -f -a "(__fish_complete_directories)"
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and __fish_seen_subcommand_from verify" -l key-file -d 'Unlock the embedded store with this file' -r -F
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and __fish_seen_subcommand_from verify" -l passphrase-fd -d 'Unlock the embedded store with a passphrase read from this file descriptor' -r
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand audit; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -f -a "man" -d 'Manual pages'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -f -a "completions" -d 'Shell completions'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and __fish_seen_subcommand_from man" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and __fish_seen_subcommand_from man" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and __fish_seen_subcommand_from man" -s V -l version -d 'Print version'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and __fish_seen_subcommand_from completions" -l json -d 'Print results and errors as JSON'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and __fish_seen_subcommand_from completions" -s h -l help -d 'Print help'
complete -c kmsfs -n "__fish_kmsfs_using_subcommand generate; and __fish_seen_subcommand_from completions" -s V -l version -d 'Print version'
