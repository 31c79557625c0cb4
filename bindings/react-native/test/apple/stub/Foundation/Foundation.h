// The part of Foundation that TertuliaOnLoad.mm uses.
__attribute__((objc_root_class)) @interface NSObject
+ (void)load;
@end
