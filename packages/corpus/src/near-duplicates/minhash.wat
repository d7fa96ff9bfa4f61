;; MinHash over runs of words. Text is UTF-8; a word is a run of [A-Za-z0-9_]; hashes are 64 bits wide.
;; Addresses are the caller's: minhash-kernel.ts lays out the memory. `node tools/wasm/compile.ts` compiles this file.
(module
  (memory (export "memory") 1)

  ;; murmur3's 64-bit finaliser: every bit of the argument reaches every bit of the result.
  (func $mix (param $h i64) (result i64)
    (local.set $h (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 33))))
    (local.set $h (i64.mul (local.get $h) (i64.const 0xff51afd7ed558ccd)))
    (local.set $h (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 33))))
    (local.set $h (i64.mul (local.get $h) (i64.const 0xc4ceb9fe1a85ec53)))
    (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 33))))

  ;; One step of a hash over a sequence.
  (func $append (param $h i64) (param $value i64) (result i64)
    (i64.mul (i64.rotl (i64.xor (local.get $h) (local.get $value)) (i64.const 29)) (i64.const 0x9e3779b97f4a7c15)))

  (func $isWordByte (param $c i32) (result i32)
    (i32.or
      (i32.or
        (i32.lt_u (i32.sub (i32.or (local.get $c) (i32.const 0x20)) (i32.const 0x61)) (i32.const 26))
        (i32.lt_u (i32.sub (local.get $c) (i32.const 0x30)) (i32.const 10)))
      (i32.eq (local.get $c) (i32.const 0x5f))))

  ;; Writes the FNV-1a hash of each word of [text, end) to `out`; returns how many there are.
  (func (export "hashWords") (param $text i32) (param $end i32) (param $out i32) (result i32)
    (local $first i32) (local $c i32) (local $h i64)
    (local.set $first (local.get $out))
    (block $done
      (loop $next
        ;; over what lies between words
        (loop $gap
          (br_if $done (i32.ge_u (local.get $text) (local.get $end)))
          (local.set $c (i32.load8_u (local.get $text)))
          (local.set $text (i32.add (local.get $text) (i32.const 1)))
          (br_if $gap (i32.eqz (call $isWordByte (local.get $c)))))
        (local.set $h (i64.const 0xcbf29ce484222325))
        (block $word
          (loop $byte
            (local.set $h (i64.mul (i64.xor (local.get $h) (i64.extend_i32_u (local.get $c))) (i64.const 0x100000001b3)))
            (br_if $word (i32.ge_u (local.get $text) (local.get $end)))
            (local.set $c (i32.load8_u (local.get $text)))
            (local.set $text (i32.add (local.get $text) (i32.const 1)))
            (br_if $byte (call $isWordByte (local.get $c)))))
        (i64.store (local.get $out) (local.get $h))
        (local.set $out (i32.add (local.get $out) (i32.const 8)))
        (br $next)))
    (i32.shr_u (i32.sub (local.get $out) (local.get $first)) (i32.const 3)))

  ;; Where `value` is in the table of mask + 1 slots of 8 bytes, or the free slot where it belongs; 0 marks a free slot.
  (func $slotOf (param $table i32) (param $mask i32) (param $value i64) (result i32)
    (local $slot i32) (local $address i32) (local $found i64)
    (local.set $slot (i32.wrap_i64 (local.get $value)))
    (loop $probe
      (local.set $slot (i32.and (local.get $slot) (local.get $mask)))
      (local.set $address (i32.add (local.get $table) (i32.shl (local.get $slot) (i32.const 3))))
      (local.set $found (i64.load (local.get $address)))
      (if (i32.and (i64.ne (local.get $found) (i64.const 0)) (i64.ne (local.get $found) (local.get $value)))
        (then
          (local.set $slot (i32.add (local.get $slot) (i32.const 1)))
          (br $probe))))
    (local.get $address))

  ;; Writes the hash of each distinct run of `width` of the `count` words to `out`; returns how many there are.
  (func (export "distinctRuns") (param $words i32) (param $count i32) (param $width i32) (param $table i32) (param $mask i32) (param $out i32) (result i32)
    (local $first i32) (local $end i32) (local $word i32) (local $runEnd i32) (local $h i64) (local $slot i32)
    (local.set $first (local.get $out))
    (memory.fill (local.get $table) (i32.const 0) (i32.shl (i32.add (local.get $mask) (i32.const 1)) (i32.const 3)))
    (local.set $end (i32.add (local.get $words) (i32.shl (i32.sub (local.get $count) (local.get $width)) (i32.const 3))))
    (loop $run
      (local.set $h (i64.const 0))
      (local.set $word (local.get $words))
      (local.set $runEnd (i32.add (local.get $words) (i32.shl (local.get $width) (i32.const 3))))
      (loop $each
        (local.set $h (call $append (local.get $h) (i64.load (local.get $word))))
        (local.set $word (i32.add (local.get $word) (i32.const 8)))
        (br_if $each (i32.lt_u (local.get $word) (local.get $runEnd))))
      (local.set $h (call $mix (local.get $h)))
      (local.set $h (select (local.get $h) (i64.const 1) (i64.ne (local.get $h) (i64.const 0))))
      (local.set $slot (call $slotOf (local.get $table) (local.get $mask) (local.get $h)))
      (if (i64.eqz (i64.load (local.get $slot)))
        (then
          (i64.store (local.get $slot) (local.get $h))
          (i64.store (local.get $out) (local.get $h))
          (local.set $out (i32.add (local.get $out) (i32.const 8)))))
      (local.set $words (i32.add (local.get $words) (i32.const 8)))
      (br_if $run (i32.le_u (local.get $words) (local.get $end))))
    (i32.shr_u (i32.sub (local.get $out) (local.get $first)) (i32.const 3)))

  ;; For each multiplier, the least of multiplier * run (mod 2^64, as a signed number) over all runs, which are at least
  ;; one. Eight multipliers at a time, four vectors of two, stay in registers while all runs pass by.
  (func (export "leastHashes") (param $runs i32) (param $count i32) (param $multipliers i32) (param $multiplierCount i32) (param $out i32)
    (local $run i32) (local $end i32) (local $x v128) (local $h v128)
    (local $a0 v128) (local $a1 v128) (local $a2 v128) (local $a3 v128)
    (local $m0 v128) (local $m1 v128) (local $m2 v128) (local $m3 v128)
    (local.set $end (i32.add (local.get $runs) (i32.shl (local.get $count) (i32.const 3))))
    (loop $eight
      (local.set $a0 (v128.load offset=0 (local.get $multipliers)))
      (local.set $a1 (v128.load offset=16 (local.get $multipliers)))
      (local.set $a2 (v128.load offset=32 (local.get $multipliers)))
      (local.set $a3 (v128.load offset=48 (local.get $multipliers)))
      (local.set $m0 (i64x2.splat (i64.const 0x7fffffffffffffff)))
      (local.set $m1 (local.get $m0))
      (local.set $m2 (local.get $m0))
      (local.set $m3 (local.get $m0))
      (local.set $run (local.get $runs))
      (loop $each
        (local.set $x (v128.load64_splat (local.get $run)))
        (local.set $h (i64x2.mul (local.get $x) (local.get $a0)))
        (local.set $m0 (v128.bitselect (local.get $h) (local.get $m0) (i64x2.gt_s (local.get $m0) (local.get $h))))
        (local.set $h (i64x2.mul (local.get $x) (local.get $a1)))
        (local.set $m1 (v128.bitselect (local.get $h) (local.get $m1) (i64x2.gt_s (local.get $m1) (local.get $h))))
        (local.set $h (i64x2.mul (local.get $x) (local.get $a2)))
        (local.set $m2 (v128.bitselect (local.get $h) (local.get $m2) (i64x2.gt_s (local.get $m2) (local.get $h))))
        (local.set $h (i64x2.mul (local.get $x) (local.get $a3)))
        (local.set $m3 (v128.bitselect (local.get $h) (local.get $m3) (i64x2.gt_s (local.get $m3) (local.get $h))))
        (local.set $run (i32.add (local.get $run) (i32.const 8)))
        (br_if $each (i32.lt_u (local.get $run) (local.get $end))))
      (v128.store offset=0 (local.get $out) (local.get $m0))
      (v128.store offset=16 (local.get $out) (local.get $m1))
      (v128.store offset=32 (local.get $out) (local.get $m2))
      (v128.store offset=48 (local.get $out) (local.get $m3))
      (local.set $multipliers (i32.add (local.get $multipliers) (i32.const 64)))
      (local.set $out (i32.add (local.get $out) (i32.const 64)))
      (local.set $multiplierCount (i32.sub (local.get $multiplierCount) (i32.const 8)))
      (br_if $eight (i32.gt_s (local.get $multiplierCount) (i32.const 0)))))

  ;; Writes one key for each band, made of the band's number and its `rows` least hashes.
  (func (export "bandKeys") (param $hashes i32) (param $bands i32) (param $rows i32) (param $out i32)
    (local $band i32) (local $row i32) (local $h i64)
    (loop $each
      (local.set $h (i64.extend_i32_u (local.get $band)))
      (local.set $row (i32.const 0))
      (loop $next
        (local.set $h (call $append (local.get $h) (i64.load (local.get $hashes))))
        (local.set $hashes (i32.add (local.get $hashes) (i32.const 8)))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $row) (local.get $rows))))
      (i64.store (local.get $out) (call $mix (local.get $h)))
      (local.set $out (i32.add (local.get $out) (i32.const 8)))
      (local.set $band (i32.add (local.get $band) (i32.const 1)))
      (br_if $each (i32.lt_u (local.get $band) (local.get $bands)))))

  ;; Empties the table and puts `count` (at least one) values into it.
  (func (export "fillTable") (param $values i32) (param $count i32) (param $table i32) (param $mask i32)
    (local $end i32) (local $value i64)
    (memory.fill (local.get $table) (i32.const 0) (i32.shl (i32.add (local.get $mask) (i32.const 1)) (i32.const 3)))
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 3))))
    (loop $each
      (local.set $value (i64.load (local.get $values)))
      (i64.store (call $slotOf (local.get $table) (local.get $mask) (local.get $value)) (local.get $value))
      (local.set $values (i32.add (local.get $values) (i32.const 8)))
      (br_if $each (i32.lt_u (local.get $values) (local.get $end)))))

  ;; How many of `count` (at least one) values are in the table.
  (func (export "countFound") (param $values i32) (param $count i32) (param $table i32) (param $mask i32) (result i32)
    (local $end i32) (local $found i32)
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 3))))
    (loop $each
      (local.set $found (i32.add (local.get $found)
        (i64.ne (i64.load (call $slotOf (local.get $table) (local.get $mask) (i64.load (local.get $values)))) (i64.const 0))))
      (local.set $values (i32.add (local.get $values) (i32.const 8)))
      (br_if $each (i32.lt_u (local.get $values) (local.get $end))))
    (local.get $found))
)
