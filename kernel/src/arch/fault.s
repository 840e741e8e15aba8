# Entries of the 32 exceptions: 16 bytes each, to one handler that never returns.

    .section .text.fault, "ax", @progbits
    .balign 16
    .globl fault_stubs
fault_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    # Vectors that push an error code: 8, 10-14, 17, 21, 29, 30.
    .if ((1 << vector) & 0x60227d00) == 0
    push 0
    .endif
    push vector
    jmp fault_common
    .set vector, vector + 1
    .endr

fault_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rdi, rsp
    cld
    and rsp, -16
    call fault_handler
    ud2

    .globl nmi_entry
nmi_entry:
    lock inc qword ptr [NMI_COUNT]
    iretq
