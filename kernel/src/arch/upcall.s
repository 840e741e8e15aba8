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
    and dword ptr [rsp + 24], 0xfffffdff    # interrupts stay off: see below
    lea rax, [rip + idle_hlt]       # about to sleep on what just came in: do not
    cmp [rsp + 8], rax
    jne 3f
    lea rax, [rip + idle_awake]
    mov [rsp + 8], rax
3:  mov rax, [UPCALL_EOI]
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
# nested emulation does not always keep that, so an upcall that returns to the
# `hlt` itself returns behind it instead (above), and no event is slept on.
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
    and dword ptr [rsp + 24], 0xfffffdff
    lea rax, [rip + idle_hlt]
    cmp [rsp + 8], rax
    jne 4f
    lea rax, [rip + idle_awake]
    mov [rsp + 8], rax
4:  pop rax
    iretq
