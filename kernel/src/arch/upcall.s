# Interrupts. All but the alarm may find the guest on its way into sleep and out of it, and
# nowhere else: what they push would lie in a red zone.

# With rax pushed: goes on if the guest was in this section, which has no red zone. Nested
# emulation may deliver an interrupt again while its stub begins, so that it finds a stub.
# One that is about to return to the `hlt` returns behind it, since what it tells is not to be
# slept on; interrupts stay off then, see `idle_wait`.
    .macro unless_asleep otherwise
    lea rax, [rip + stubs_begin]
    cmp [rsp + 8], rax
    jb \otherwise
    lea rax, [rip + stubs_end]
    cmp [rsp + 8], rax
    jae \otherwise
    and dword ptr [rsp + 24], 0xfffffdff
    lea rax, [rip + idle_hlt]
    cmp [rsp + 8], rax
    jne 3f
    lea rax, [rip + idle_awake]
    mov [rsp + 8], rax
3:
    .endm

# The event upcall: clears the vCPU's pending byte and, where the vector came
# through the local APIC, ends the interrupt. What fired is read by the main loop.
# As long as the byte is set both hypervisors inject the vector again at once.

    .section .text.upcall, "ax", @progbits
    .balign 16
stubs_begin:
    .globl upcall_entry
upcall_entry:
    push rax
    mov rax, [UPCALL_PENDING_BYTE]
    mov byte ptr [rax], 0
    unless_asleep stray
end_of_interrupt:
    mov rax, [UPCALL_EOI]
    test rax, rax
    jz 2f
    cmp rax, 1
    je 1f
    mov dword ptr [rax], 0          # xAPIC: the EOI register, mapped uncached
    jmp 2f
1:  push rcx                        # x2APIC: the EOI register, an MSR
    push rdx
    xor eax, eax
    xor edx, edx
    mov ecx, 0x80b
    wrmsr
    pop rdx
    pop rcx
2:  pop rax
    iretq

# Sleeps until an upcall. `sti` should hold interrupts off until `hlt` has begun;
# nested emulation does not always keep that.
# It returns with interrupts off: one that is injected again at once cannot come
# before `cli`, again and again, so that the main loop would never run.

    .globl idle_wait
idle_wait:
    sti
idle_hlt:
    hlt
idle_awake:
    cli
    ret

    .globl ignored_entry
ignored_entry:
    push rax
    unless_asleep stray
    pop rax
    iretq

# The alarm. Who sleeps does not stand still, and wakes up; for everybody else this is the end.

    .globl alarm_entry
alarm_entry:
    push rax
    unless_asleep stuck
    jmp end_of_interrupt

stuck:
    pop rax
    push 0
    push 0xe0                       # alarm::VECTOR
    jmp fault_common

stray:
    pop rax
    push 0
    push 0x40                       # fault::STRAY
    jmp fault_common
stubs_end:
