# The PVH entry: 32-bit flat protected mode to 64-bit long mode.
#
# In:  EBX = physical address of hvm_start_info; no stack, paging off.
# Out: rust entry kernel_entry(start_info) on our stack, first 4 GiB identity
#      mapped by 2 MiB pages, SSE on. W^X tables come later, from Rust.
#
# CR0 and CR4 are written as whole values, never read-modify-write: some
# emulators give CR0 for every control register read.
# Source: docs/misc/pvh.pandoc, Xen 4.17.

    .section .note.Xen, "a", @note
    .balign 4
    .long 4                         # namesz
    .long 4                         # descsz
    .long 18                        # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_start

    .section .text.boot, "ax", @progbits
    .code32
    .globl pvh_start
pvh_start:
    cld
    movl $__stack_top, %esp

    # PML4[0] -> PDPT, PDPT[0..4] -> four page directories of 2 MiB pages.
    movl $boot_pdpt + 3, boot_pml4
    movl $boot_pd + 0x0003, boot_pdpt
    movl $boot_pd + 0x1003, boot_pdpt + 8
    movl $boot_pd + 0x2003, boot_pdpt + 16
    movl $boot_pd + 0x3003, boot_pdpt + 24
    movl $boot_pd, %edi
    movl $0x83, %eax                # present, writable, 2 MiB
    movl $2048, %ecx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $8, %edi
    addl $0x200000, %eax
    decl %ecx
    jnz 1b

    movl $0x620, %eax               # CR4: PAE, OSFXSR, OSXMMEXCPT
    movl %eax, %cr4
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx          # EFER: LME, NXE
    movl $0x900, %eax
    xorl %edx, %edx
    wrmsr
    movl $0x80010033, %eax          # CR0: PG, WP, NE, ET, MP, PE
    movl %eax, %cr0
    lgdt boot_gdt_descriptor
    ljmp $8, $long_mode

    .code64
long_mode:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $__stack_top, %esp         # clears the upper half too
    xorl %ebp, %ebp                 # the end of every backtrace
    movl %ebx, %edi
    call kernel_entry
    ud2

    .section .rodata.boot, "a", @progbits
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00209a0000000000        # 64-bit code
    .quad 0x0000920000000000        # data
boot_gdt_descriptor:
    .word 23
    .long boot_gdt

    .section .bss.boot, "aw", @nobits
    .balign 4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd:   .skip 16384
