#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callvault::fuzzing::notification(data));
