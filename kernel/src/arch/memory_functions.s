# memcpy, memmove, memset, memcmp, bcmp, strlen: System V ABI.
#
# Up to 64 bytes by moves that overlap in the middle, longer ones by `rep movsb`,
# or backwards in steps of 32 where the source is overlapped from above.

    .section .text.memory_functions, "ax", @progbits

    .globl memmove
    .globl memcpy
    .balign 16
memmove:
memcpy:
    mov rax, rdi
    cmp rdx, 16
    jb 3f
    cmp rdx, 32
    ja 1f
    movups xmm0, [rsi]
    movups xmm1, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm1
    ret
1:  cmp rdx, 64
    ja 2f
    movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + rdx - 32]
    movups xmm3, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + rdx - 32], xmm2
    movups [rdi + rdx - 16], xmm3
    ret
2:  mov rcx, rdi                    # overlapping with the source below: backwards
    sub rcx, rsi
    cmp rcx, rdx
    jb 6f
    mov rcx, rdx
    rep movsb
    ret
3:  cmp rdx, 8
    jb 4f
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
4:  cmp rdx, 4
    jb 5f
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
5:  test rdx, rdx
    jz 9f
    movzx ecx, byte ptr [rsi]       # first, middle, last: any of 1 to 3 bytes
    movzx r8d, byte ptr [rsi + rdx - 1]
    mov r10, rdx
    shr r10, 1
    movzx r9d, byte ptr [rsi + r10]
    mov [rdi], cl
    mov [rdi + r10], r9b
    mov [rdi + rdx - 1], r8b
9:  ret
6:  movups xmm4, [rsi]              # the first 32, before they are overwritten
    movups xmm5, [rsi + 16]
7:  movups xmm0, [rsi + rdx - 16]
    movups xmm1, [rsi + rdx - 32]
    movups [rdi + rdx - 16], xmm0
    movups [rdi + rdx - 32], xmm1
    sub rdx, 32
    cmp rdx, 32
    ja 7b
    movups [rdi], xmm4
    movups [rdi + 16], xmm5
    ret

    .globl memset
    .balign 16
memset:
    mov r8, rdi
    movzx eax, sil
    mov rcx, 0x0101010101010101
    imul rax, rcx
    cmp rdx, 16
    jb 2f
    cmp rdx, 64
    ja 1f
    movq xmm0, rax
    punpcklqdq xmm0, xmm0
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm0
    cmp rdx, 32
    jbe 4f
    movups [rdi + 16], xmm0
    movups [rdi + rdx - 32], xmm0
    jmp 4f
1:  mov rcx, rdx
    rep stosb
    jmp 4f
2:  cmp rdx, 8
    jb 3f
    mov [rdi], rax
    mov [rdi + rdx - 8], rax
    jmp 4f
3:  test rdx, rdx
    jz 4f
    mov [rdi], al
    inc rdi
    dec rdx
    jmp 3b
4:  mov rax, r8
    ret

    .globl memcmp
    .globl bcmp
    .balign 16
memcmp:
bcmp:
    cmp rdx, 8
    jb 2f
1:  mov rax, [rdi]
    mov rcx, [rsi]
    cmp rax, rcx
    jne 4f
    add rdi, 8
    add rsi, 8
    sub rdx, 8
    cmp rdx, 8
    jae 1b
2:  test rdx, rdx
    jz 5f
3:  movzx eax, byte ptr [rdi]
    movzx ecx, byte ptr [rsi]
    sub eax, ecx
    jne 6f
    inc rdi
    inc rsi
    dec rdx
    jnz 3b
    xor eax, eax
6:  ret
4:  bswap rax
    bswap rcx
    cmp rax, rcx
    sbb eax, eax
    or eax, 1
    ret
5:  xor eax, eax
    ret

    .globl strlen
    .balign 16
strlen:
    xor eax, eax
1:  cmp byte ptr [rdi + rax], 0
    je 2f
    inc rax
    jmp 1b
2:  ret
