# Interrupts. All but the alarm may find the guest on its way into sleep and out of it, and
# nowhere else: what they push would lie in a red zone.

# With rax pushed. An interrupt that is about to return to the `hlt` returns behind it, since
# what it tells is not to be slept on; interrupts stay off then, see `idle_wait`. Nested emulation
# may deliver one twice, so that it finds this very stub before its first instruction.
    .macro finds_it_asleep stub
    and dword ptr [rsp + 24], 0xfffffdff
    lea rax, [rip + \stub]
    cmp [rsp + 8], rax
    je 3f
    lea rax, [rip + idle_awake]
    cmp [rsp + 8], rax
    je 3f
    lea rax, [rip + idle_hlt]
    cmp [rsp + 8], rax
    jne stray_entry
    lea rax, [rip + idle_awake]
    mov [rsp + 8], rax
3:
    .endm

# The event upcall: clears the vCPU's pending byte and, where the vector came
# through the local APIC, ends the interrupt. What fired is read by the main loop.
# As long as the byte is set both hypervisors inject the vector again at once.

    .section .text.upcall, "ax", @progbits
    .balign 16
    .globl upcall_entry
upcall_entry:
    push rax
    mov rax, [UPCALL_PENDING_BYTE]
    mov byte ptr [rax], 0
    finds_it_asleep upcall_entry
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
    finds_it_asleep ignored_entry
    pop rax
    iretq

# The alarm. Who sleeps does not stand still, and wakes up; for everybody else this is the end.
# A frame that was pushed on the way into this stub says nothing of the loop.

    .globl alarm_entry
alarm_entry:
    push rax
    lea rax, [rip + alarm_entry]
    cmp [rsp + 8], rax
    pop rax
    jne 4f
    mov rsp, [rsp + 24]
    jmp alarm_entry
4:  push rax
    lea rax, [rip + idle_hlt]
    cmp [rsp + 8], rax
    je 5f
    lea rax, [rip + idle_awake]
    cmp [rsp + 8], rax
    je 5f
    pop rax
    push 0
    push 0xe0                       # alarm::VECTOR
    jmp fault_common
5:  finds_it_asleep alarm_entry
    jmp end_of_interrupt

stray_entry:
    pop rax
    push 0
    push 0x40                       # fault::STRAY
    jmp fault_common
